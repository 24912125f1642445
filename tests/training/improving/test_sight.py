"""What a loop refuses to compare: a start whose name stands for other weights by now."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from cluster.errors import UserError
from cluster.storage.storage import Storage
from training.improving.sight import Sight
from training.models.detectors.base import build_detector
from training.models.letterbox import Preprocessing
from training.project import Project
from training.starts import resolve_start
from training.starts.detector_file import save_detector


def test_other_weights_of_the_same_name_are_refused(tmp_path: Path) -> None:
    for seed in (0, 1):
        torch.manual_seed(seed)
        detector = build_detector("yolov8n", ("hole",), Preprocessing(64, "letterbox"))
        save_detector(detector, Storage.open(str(tmp_path)), f"{seed}.safetensors", {})
    files = [str(tmp_path / f"{seed}.safetensors") for seed in (0, 1)]
    began = resolve_start(files[0], "yolov8n", pytest.fail).digest
    making = {"stages": {"finetune": {"extra": {"weights": began}}}}
    version = cast(Any, SimpleNamespace(reference="line@1"))
    for file, refused in ((files[0], False), (files[1], True)):
        project = Project.model_validate(
            {"name": "line", "finetune": {"starts": ["ours"], "weights": {"ours": file}}}
        )
        sight = Sight(
            cast(Any, SimpleNamespace(project=project)),
            cast(Any, None),
            Storage.open(str(tmp_path)),
            frozenset(),
        )
        if not refused:
            sight._refuse_other_weights(version, "ours", making)
            continue
        with pytest.raises(UserError, match="line@1 began with other weights than "):
            sight._refuse_other_weights(version, "ours", making)
