"""The names that configs are checked by are those that the adapters build."""

import subprocess
import sys
from importlib import import_module

import pytest

from cluster.errors import UserError
from training.models import names
from training.models.backbones import base as backbones
from training.models.detectors import base as detectors
from training.models.segmenters import base as segmenters

TABLES = (
    names.backbone_adapters,
    names.detector_adapters,
    names.on_backbone_adapters,
    names.segmenter_adapters,
)


@pytest.fixture(autouse=True)
def _all_adapters() -> None:
    for module in {adapter.module for table in TABLES for adapter in table.values()}:
        import_module(module)


def test_every_name_is_registered_by_its_adapter_and_no_other() -> None:
    assert names.backbone_adapters.keys() == backbones._LISTED.keys()
    assert names.detector_adapters.keys() == detectors._BUILDERS.keys()
    assert names.on_backbone_adapters.keys() == detectors._ON_BACKBONE.keys()
    assert names.segmenter_adapters.keys() == segmenters._ON_BACKBONE.keys()


@pytest.mark.parametrize("table", ["_BUILDERS", "_ON_BACKBONE"])
def test_what_a_detector_can_is_said_as_its_class_says_it(table: str) -> None:
    adapters = names.detector_adapters if table == "_BUILDERS" else names.on_backbone_adapters
    for name, builder in getattr(detectors, table).items():
        assert adapters[name].weighs_boxes == bool(getattr(builder, "weighs_boxes", False)), name
        assert adapters[name].module == builder.__module__


@pytest.mark.parametrize("name", ["resnet34", "timm/resnet50.a1_in1k", "tv_resnet50"])
def test_timm_s_own_names_are_asked_for(name: str) -> None:
    assert names.canonical(name) == name.removeprefix("timm/")


@pytest.mark.parametrize("name", ["resnet51x", "resnet50.no_such_tag", "", "yolov8"])
def test_a_slip_is_told_with_the_nearest(name: str) -> None:
    with pytest.raises(UserError, match="There is no backbone"):
        names.canonical(name)


def test_a_slip_costs_no_library() -> None:
    code = (
        "import sys\n"
        "from cluster.errors import UserError\n"
        "from training.models import canonical\n"
        "try:\n    canonical('resnet51x')\n"
        "except UserError:\n    print({'timm', 'torch'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"


@pytest.mark.parametrize("table", ["_BUILDERS", "_ON_BACKBONE"])
def test_detectors_without_suppression_are_those_that_answer_by_queries(table: str) -> None:
    adapters = names.detector_adapters if table == "_BUILDERS" else names.on_backbone_adapters
    detr = {name for name in adapters if "detr" in name or name.startswith(("d-fine", "deimv2", "dino"))}
    assert {name for name, adapter in adapters.items() if adapter.by_queries} == detr
