"""Images of 8 bits and of more in one category: told, as they are scaled otherwise."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from cluster.stages import Site
from cluster.storage import Storage
from pipelines.corpus.listing import Listing
from pipelines.corpus.mixed_depths import mixed_depths
from pipelines.corpus.section import CorpusSection
from pipelines.corpus.stage import CorpusImages, build_corpus
from tests.silent_tracking import SilentPipeline

ROWS = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.booleans(), st.sampled_from([None, "damaged"])), max_size=40
)


def table(rows: list[tuple[str, bool, str | None]]) -> pa.Table:
    schema = pa.schema([("category", pa.string()), ("deep", pa.bool_()), ("error", pa.string())])
    keys = ("category", "deep", "error")
    return pa.Table.from_pylist([dict(zip(keys, row, strict=True)) for row in rows], schema=schema)


@given(ROWS)
def test_categories_that_mix_depths_are_named_with_their_counts(
    rows: list[tuple[str, bool, str | None]],
) -> None:
    usable = [(category, deep) for category, deep, error in rows if error is None]
    told = []
    for name in "abcdefgh":
        depths = [deep for category, deep in usable if category == name]
        if 0 < sum(depths) < len(depths):
            told.append(f"{name} ({sum(depths)} of {len(depths)} images)")
    text = mixed_depths(table(rows))
    if not told:
        assert text is None
    else:
        assert text is not None
        named, _, rest = text.partition(" and ")
        assert named.split(", ") == told[:5]
        assert rest == (f"{len(told) - 5} more" if len(told) > 5 else "")


def built(root: Path, workspace: Path) -> dict[str, object]:
    section = CorpusSection(root=str(root), max_bad_share=1)
    site = Site(Storage.open(str(workspace)), SilentPipeline(None, "", {}))  # type: ignore[arg-type]
    return dict(build_corpus(section, CorpusImages(Listing(section)), site=site).results)


def test_a_corpus_tells_once_built_and_found_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for number in range(12):
        kind = np.uint16 if number % 3 else np.uint8
        for name in ("mixed", "plates"):
            values = rng.integers(0, 250, (24, 32)).astype(np.uint16 if name == "plates" else kind)
            path = tmp_path / "photos" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(path)
    for _ in range(2):
        results = built(tmp_path / "photos", tmp_path / "made")
        assert results["mixed_depths"] == "mixed (8 of 12 images)"
        assert "Here one category has both: mixed (8 of 12 images)." in capsys.readouterr().err.replace(
            "\n", " "
        )


def test_one_depth_is_no_matter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(6):
        values = np.random.default_rng(number).integers(0, 60_000, (24, 32)).astype(np.uint16)
        path = tmp_path / f"photos/plates/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)
    assert "mixed_depths" not in built(tmp_path / "photos", tmp_path / "made")
    assert "one category has both" not in capsys.readouterr().err
