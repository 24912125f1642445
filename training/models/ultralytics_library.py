"""The one door to ultralytics: what its import changes in other libraries is taken back here."""

from PIL import Image
from ultralytics.cfg import get_cfg as get_cfg
from ultralytics.nn import tasks
from ultralytics.nn.modules.conv import Conv as Conv
from ultralytics.nn.tasks import (
    DetectionModel as DetectionModel,
    RTDETRDetectionModel as RTDETRDetectionModel,
    yaml_model_load as yaml_model_load,
)
from ultralytics.utils import DEFAULT_CFG as DEFAULT_CFG, patches
from ultralytics.utils.downloads import (
    GITHUB_ASSETS_NAMES as GITHUB_ASSETS_NAMES,
    GITHUB_ASSETS_REPO as GITHUB_ASSETS_REPO,
)
from ultralytics.utils.loss import E2ELoss as E2ELoss, v8DetectionLoss as v8DetectionLoss
from ultralytics.utils.tal import make_anchors as make_anchors

# Its import replaces PIL's `open` by one that installs a package on a damaged file.
Image.open = patches._image_open


def register_layer(layer: type) -> None:
    """Let model YAMLs name a layer of ours, by its class name; the library looks names up in one module.

    Raises:
        ValueError: the library has a layer of that name.
    """
    if getattr(tasks, layer.__name__, layer) is not layer:
        raise ValueError(f"ultralytics has a layer {layer.__name__} of its own")
    setattr(tasks, layer.__name__, layer)
