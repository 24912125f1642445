"""Proposals where maps are made of tiles: images are scored as the maps will score them, not as a whole."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection
from pipelines.maps.kead import KeAD
from pipelines.maps.section import MapsSection
from pipelines.maps.tiling import tiled_image, tiled_maps
from pipelines.references.proposal import CategoryProposal, propose
from tests.pipelines.tiny_encoder import tiny_encoder

PROMPTS = MapsSection().library().category("steel_strip")


def proposed(root: Path, section: MapsSection, kead: KeAD) -> CategoryProposal:
    listing = Listing(CorpusSection(root=str(root)))
    (category,) = {entry.category for entry in listing.entries}
    seen: list[int] = []
    result = propose(
        listing,
        category,
        kead=kead,
        tiling=section,
        prompts=PROMPTS,
        count=4,
        sample=6,
        test_share=0.5,
        advance=seen.append,
    )
    assert sum(seen) == result.sampled == 6
    return result


@pytest.mark.parametrize("tiling", [{"tiles": 40}, {"tiles": 40, "top_tiles": 2}, {"tiles": "off"}])
def test_the_scores_are_those_of_the_maps(tiling: dict[str, object], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(6):
        pixels = rng.integers(0, 255, (240, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    section = MapsSection.model_validate({"kead": {"shots": 0}, **tiling})
    kead = KeAD(tiny_encoder(), section.kead)
    state = kead.category_state(PROMPTS, None)
    for pick in proposed(tmp_path, section, kead).proposals:
        image = tiled_image(kead, np.asarray(Image.open(pick.uri)), state, section)
        (whole,) = tiled_maps(kead, [image], 1, section.top_tiles)
        assert pick.score == pytest.approx(whole.score, abs=1e-5)
        assert (len(image.plan.corners) > 1) == (section.tiles != "off")
