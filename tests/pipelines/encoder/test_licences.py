"""Licences of weights: what the table and the libraries say, and what files say of themselves."""

from typing import Any

import open_clip
import pytest
import timm
from hypothesis import given, strategies as st

from pipelines.encoder.licences import (
    LICENCES,
    LONGEST,
    bank_licence,
    encoder_licence,
    licence_of,
    licences_text,
    map_licences,
    written_licences,
)
from pipelines.encoder.names import PRESETS
from pipelines.maps.section import MapsSection
from training.models.names import published_origin


@pytest.mark.parametrize(
    ("model", "weights", "licence"),
    [
        ("surface-clip", None, "AGPL-3.0-or-later"),
        ("huge", None, "Apple's licence for research models"),
        ("ViT-H-14-quickgelu", "dfn5b", "Apple's licence for research models"),
        ("large", None, "MIT"),
        ("base", None, "MIT"),
        ("ViT-B-32", "metaclip_400m", "CC-BY-NC-4.0"),
        ("ViT-B-32", "commonpool_s_s13m_b4k", "unknown: open_clip names none"),
        ("ViT-B-32", "weights.safetensors", "unknown: a file or folder of yours"),
        ("huge", "/models/dfn.safetensors", "unknown: a file or folder of yours"),
        ("my/model.json", "w.pt", "unknown: a file or folder of yours"),
    ],
)
def test_an_encoders_licence(model: str, weights: str | None, licence: str) -> None:
    assert encoder_licence(model, weights).startswith(licence)


def test_the_papers_encoders_are_no_unknown_ones_and_open_clip_has_them() -> None:
    for name, (arch, tag) in PRESETS.items():
        assert not encoder_licence(name).startswith("unknown")
        assert tag in open_clip.list_pretrained_tags_by_model(arch)


def test_timm_is_asked_for_its_own() -> None:
    assert bank_licence("timm/resnet18", None) == "Apache-2.0"
    assert bank_licence("timm/vit_small_patch16_dinov3", None) == "Meta's DINOv3 licence"
    assert bank_licence("timm/resnet18", "own.pt").startswith("unknown: a file of yours")
    assert bank_licence("efficientnet-lite0", None) == "Apache-2.0"
    assert licence_of("timm/resnet18.nonsense").startswith("unknown: timm names none")
    known = {name: timm.models.get_pretrained_cfg(name) for name in timm.list_models("conv*")}
    said = {name: str(config.license or "") for name, config in known.items() if config is not None}
    for name, licence in said.items():
        told = licence_of(f"timm/{name}").lower()
        assert told.startswith("unknown") if licence in ("", "other") else "unknown" not in told


@pytest.mark.parametrize(
    ("name", "word", "origin", "licence"),
    [
        ("yolov8n", "coco", "ultralytics/yolov8n", "AGPL-3.0"),
        ("yolo11s", "imagenet", "ultralytics/yolo11s", "AGPL-3.0"),
        ("yolov8n-rtdetr", "coco", "ultralytics/yolov8n", "AGPL-3.0"),
        ("rtdetr-l", "coco", "ultralytics/rtdetr-l", "AGPL-3.0"),
        ("lw-detr-tiny", "coco", "transformers/lw-detr-tiny", "Apache-2.0"),
        ("rf-detr-nano", "coco", "transformers/rf-detr-nano", "Apache-2.0"),
        ("deimv2-s+resnet50", "imagenet", "timm/resnet50", "Apache-2.0"),
        ("rf-detr+resnet50", "imagenet", "timm/resnet50", "Apache-2.0"),
        ("yolov8s+resnet50", "imagenet", "timm/resnet50", "Apache-2.0"),
        ("mask-rcnn+resnet50", "coco", "torchvision/mask-rcnn+resnet50", "unknown: torchvision names none"),
        ("mask-rcnn+resnet50", "imagenet", "timm/resnet50", "Apache-2.0"),
        ("convnext_tiny.dinov3_lvd1689m", "imagenet", "timm/convnext_tiny.dinov3_lvd1689m", "Meta's DINOv3"),
    ],
)
def test_a_starts_licence(name: str, word: str, origin: str, licence: str) -> None:
    assert published_origin(name, word) == origin
    assert licence_of(origin).startswith(licence)


def test_maps_name_encoder_and_bank() -> None:
    def found(**options: Any) -> dict[str, str]:
        return map_licences({"config": MapsSection.model_validate(options).deciding})

    assert found() == {"encoder surface-clip": "AGPL-3.0-or-later"}
    assert found(bank={"mode": "mutual"}) == found()
    both = found(encoder={"model": "huge"}, bank={"encoder": "timm/resnet18"})
    assert both.keys() == {"encoder huge", "bank timm/resnet18"}
    assert licences_text(both).startswith("bank timm/resnet18: Apache-2.0; encoder huge: Apple's")
    assert map_licences({"results": {}}) == {}


def test_what_files_say_of_themselves() -> None:
    assert written_licences({LICENCES: {}}, "f") == {}  # trained from nothing
    assert written_licences({}, "f") == {"f": "unknown: the file does not say"}
    assert written_licences({"license": "AGPL-3.0\nsee there"}, "f") == {"f": "AGPL-3.0 see there"}
    assert written_licences({LICENCES: {"a": "MIT"}, "license": "x"}, "f") == {"a": "MIT"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(JSON, JSON)
def test_hostile_metadata_becomes_short_plain_text(ours: Any, theirs: Any) -> None:
    for name, licence in written_licences({LICENCES: ours, "license": theirs}, "f").items():
        assert len(name) <= LONGEST
        assert len(licence) <= LONGEST
        assert (name + licence).isprintable()
