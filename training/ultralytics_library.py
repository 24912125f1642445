"""The one door to ultralytics: what its import changes in other libraries is taken back here."""

from PIL import Image
from ultralytics.cfg import get_cfg as get_cfg
from ultralytics.nn.tasks import DetectionModel as DetectionModel
from ultralytics.utils import DEFAULT_CFG as DEFAULT_CFG
from ultralytics.utils import patches
from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES as GITHUB_ASSETS_NAMES
from ultralytics.utils.downloads import GITHUB_ASSETS_REPO as GITHUB_ASSETS_REPO
from ultralytics.utils.nms import non_max_suppression as non_max_suppression

# Its import replaces PIL's `open` by one that installs a package on a damaged file.
Image.open = patches._image_open
