"""Heads are trained without Ray on a tiny corpus: they learn, resume, and make maps by the map methods."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cluster.errors import UserError
from pipelines.encoder.loading import load_encoder
from pipelines.heads.file import HEAD_FILE
from pipelines.maps.build import method_over
from pipelines.maps.metrics import pixel_auroc
from pipelines.maps.rows import category_states
from pipelines.maps.section import MapsSection
from tests.training.heads.tiny_corpus import texture, tiny_corpus, tiny_site
from training.heads import shards
from training.heads.section import HeadsSection
from training.heads.stage import train_head

PROMPTS = {"tile": {"object": "tile", "defects": [{"type": "spot", "features": "a dark square"}]}}


def maps_of(method: str, **options: Any) -> MapsSection:
    if method == "aprilgan":
        options["shots"] = 0
    return MapsSection.model_validate({"method": method, "categories": PROMPTS, method: options})


def heads_of(epochs: int = 12, **changes: Any) -> HeadsSection:
    loop = {"epochs": epochs, **changes.pop("loop", {})}
    return HeadsSection.model_validate({"copies": 1, "loop": loop, **changes})


def spotted() -> tuple[list[Any], list[Any]]:
    """Images that no training saw, with a dark square each, and their masks."""
    rng = np.random.default_rng(9)
    images, masks = [], []
    for _ in range(8):
        image, mask = texture(rng), np.zeros((96, 96), np.bool_)
        x, y = (int(value) for value in rng.integers(8, 60, 2))
        image[y : y + 24, x : x + 24] //= 4
        mask[y : y + 24, x : x + 24] = True
        images.append(image)
        masks.append(mask)
    return images, masks


def auroc_of(section: MapsSection) -> float:
    method = method_over(load_encoder("surface-clip"), section)
    states = category_states(method, section, {"tile": []})
    images, masks = spotted()
    pixels = torch.from_numpy(np.stack([method.preprocess(image) for image in images]))
    output = method(pixels, [states["tile"]] * len(images))
    assert output.maps.shape[1:] == (method.grid, method.grid)
    assert output.maps.min() >= 0
    assert output.maps.max() <= 1
    return pixel_auroc(list(output.maps.numpy()), masks)


@pytest.mark.parametrize(
    ("method", "least"),
    [("painted", 0.85), ("aprilgan", 0.9), ("anomalyclip", 0.75), ("aaclip", 0.75)],
)
def test_a_head_learns_where_defects_are(method: str, least: float, tmp_path: Path) -> None:
    corpus, site = tiny_corpus(tmp_path / "data"), tiny_site(tmp_path / "runs")
    made = train_head(heads_of(), maps_of(method), site=site, corpus=corpus)
    assert made.results["images"] == 20  # the held-out images do not even exist
    assert auroc_of(maps_of(method, head=made.results["head"])) > least
    files = ["head.safetensors", "history.parquet", "stage.json", "start.safetensors"]
    assert [name for name in made.directory.children() if name != ".claims"] == files
    assert train_head(heads_of(), maps_of(method), site=site, corpus=corpus).reused


def test_a_painted_head_tells_painted_from_clean_on_images_held_out(tmp_path: Path) -> None:
    corpus, site = tiny_corpus(tmp_path / "data"), tiny_site(tmp_path / "runs")
    made = train_head(heads_of(copies=2), maps_of("painted"), site=site, corpus=corpus)
    assert made.results["examples"] == 40
    assert made.results["pixel_auroc"] > 0.8


def test_a_killed_training_goes_on_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = tiny_corpus(tmp_path / "data")
    section, maps = heads_of(6, loop={"checkpoint_every": 2}), maps_of("painted")
    whole = train_head(section, maps, site=tiny_site(tmp_path / "whole"), corpus=corpus)

    from training.heads import task

    evaluate = task.HeadTask.evaluate
    calls: list[None] = []

    def killed(self: Any, model: Any, device: Any) -> dict[str, float]:
        calls.append(None)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return evaluate(self, model, device)

    monkeypatch.setattr(task.HeadTask, "evaluate", killed)
    site = tiny_site(tmp_path / "broken")
    with pytest.raises(KeyboardInterrupt):
        train_head(section, maps, site=site, corpus=corpus)
    monkeypatch.setattr(task.HeadTask, "evaluate", evaluate)
    # Features that are kept are not made again.
    monkeypatch.setattr(shards, "save", lambda *_: pytest.fail("features were made again"))
    resumed = train_head(section, maps, site=site, corpus=corpus)
    assert resumed.directory.read(HEAD_FILE) == whole.directory.read(HEAD_FILE)


def test_a_part_of_the_loop_leaves_the_others_defaults() -> None:
    section = HeadsSection.model_validate({"loop": {"epochs": 3}, "paint": {"kinds": ["crack"]}})
    assert (section.loop.optimizer, section.loop.best_metric) == ("adamw", "pixel_ap")
    assert section.paint.defects == (1, 3)
    assert section.seeded(7).loop.resolved_seed == 7


def test_too_few_images_labels_without_a_defect_and_untrained_methods_are_refused(tmp_path: Path) -> None:
    site = tiny_site(tmp_path / "runs")
    few = tiny_corpus(tmp_path / "few", 10)
    with pytest.raises(UserError, match="There are 6 images outside the test split"):
        train_head(heads_of(), maps_of("painted"), site=site, corpus=few)
    whole = tiny_corpus(tmp_path / "whole")
    with pytest.raises(
        UserError, match=r"an epoch each at least: heads\.loop\.epochs must be 2 or more, not 1"
    ):
        train_head(heads_of(1), maps_of("aaclip"), site=site, corpus=whole)
    with pytest.raises(UserError, match=r"maps\.method=kead is not trained"):
        train_head(heads_of(), MapsSection(), site=site, corpus=few)
