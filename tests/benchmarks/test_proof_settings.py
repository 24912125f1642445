"""The proof's settings: what is shipped is whole, what is absent is left out."""

import json
from pathlib import Path

import pytest

from benchmarks.real_surfaces.settings import OWN, SETTINGS, Settings, read_settings
from cluster.errors import UserError
from tests.benchmarks.published_tiles import write_tiles


@pytest.mark.parametrize("file", sorted(OWN.parent.glob("*.yaml")))
def test_shipped_settings_are_whole(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTINGS, str(file))
    root, weights = write_tiles(tmp_path / "tiles", 4), tmp_path / "coco.safetensors"
    weights.touch()
    shipped = read_settings()
    assert set(shipped.data) == {"magnetic_tile", "neu_det"}
    settings = shipped.model_copy(update={"data": {"tiles": str(root)}, "coco": str(weights)})
    assert (settings.beside is None) == (file.stem == "figure")
    for comparison in (*settings.comparisons.values(), *filter(None, [settings.beside])):
        section = settings.section(comparison)
        assert section is not None
        assert set(section.seeds) <= set(settings.seeds)
        (data,) = settings.sets(comparison, section, ["tiles"], tmp_path / "made")
        assert data.not_run == {}
        for arm in section.arms:
            project = data.cell(section, arm, 1)
            assert project.workspace == str(tmp_path / "made")
            named = {project.detector.name, project.finetune.name}
            assert named == {"yolov8n+tf_efficientnet_lite0" if arm.start == "ImageNet" else "yolov8n"}
            if arm.start == "COCO" and arm.source == "painted":
                assert project.detector.begins_with == str(weights)


def test_absent_weights_and_images_are_left_out(tmp_path: Path) -> None:
    comparisons = {"a": {"gain": {"starts": {"COCO": "coco", "none": "scratch"}}}}
    comparisons["b"] = {"gain": {"starts": {"COCO": "coco"}}}
    data = {"here": str(tmp_path), "there": str(tmp_path / "there")}
    settings = Settings.model_validate(
        {"data": data, "comparisons": comparisons, "coco": str(tmp_path / "none.safetensors")}
    )
    assert settings.present == ["here"]
    of_both, of_coco = (settings.section(each) for each in settings.comparisons.values())
    assert of_both is not None
    assert of_both.starts == {"none": "scratch"}
    assert of_coco is None


def test_a_wrong_key_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(json.dumps({"data": {"a": ""}, "comparisons": {"a": {"gains": {}}}}))
    monkeypatch.setenv(SETTINGS, str(file))
    with pytest.raises(UserError, match="gains"):
        read_settings()
    file.write_text(json.dumps({"data": {"a": ""}, "comparisons": {"a": {"gain": {"epoch": 3}}}}))
    with pytest.raises(UserError, match="epochs"):
        read_settings().section(read_settings().comparisons["a"])
