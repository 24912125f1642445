"""The weights that ultralytics publishes, downloaded once and read without unpickling them."""

from pathlib import Path
from urllib.error import URLError

import torch

from cluster.errors import UserError, nearest
from cluster.progress import say
from training.models.ultralytics_library import GITHUB_ASSETS_NAMES, GITHUB_ASSETS_REPO
from training.weights import StateDict, read_pickled

RELEASE = "v8.4.0"  # the assets' release; the library's own downloads take it by default
SUFFIXES = {"imagenet": "-cls", "coco": ""}  # suffix of the published file, by start
# Classifiers of these have no SPPF, so that their C2PSA stands one layer lower than in detectors.
ATTENTION_MOVED = ("yolo11", "yolo26")
CLASSIFIER_LAYERS = 10  # of these; the next is the classifying head


def ultralytics_weights(name: str, start: str) -> StateDict:
    """Published weights in the keys of the library's `DetectionModel`.

    Args:
        name: e.g. `yolov8s`.
        start: `coco`, the whole detector; or `imagenet`, the classifier's backbone, which has all stages
            but not what follows the last of them (SPPF).

    Raises:
        UserError: there are none, or they can't be downloaded.
    """
    file = f"{name}{SUFFIXES.get(start, '')}.pt"
    if start not in SUFFIXES or file not in GITHUB_ASSETS_NAMES:
        there = [word for word, suffix in SUFFIXES.items() if f"{name}{suffix}.pt" in GITHUB_ASSETS_NAMES]
        raise UserError(
            f"ultralytics publishes no {start} weights of {name}; {nearest(start, [*there, 'scratch'])}"
        )
    state = read_pickled(_downloaded(file))
    return detector_keys(name, state) if start == "imagenet" else state


def detector_keys(name: str, state: StateDict) -> StateDict:
    """A classifier's backbone in the keys of the detector of the same name; its head is left out."""
    moved = name.startswith(ATTENTION_MOVED)
    layers = CLASSIFIER_LAYERS if moved else CLASSIFIER_LAYERS - 1
    detector_state: StateDict = {}
    for key, tensor in state.items():
        model, index, rest = key.split(".", 2)
        if int(index) < layers:
            shift = 1 if moved and int(index) == layers - 1 else 0
            detector_state[f"{model}.{int(index) + shift}.{rest}"] = tensor
    return detector_state


def _downloaded(file: str) -> Path:
    """The file in PyTorch's hub cache, where `TORCH_HOME` may put it."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / file
    if path.is_file():
        return path
    url = f"https://github.com/{GITHUB_ASSETS_REPO}/releases/download/{RELEASE}/{file}"
    say(f"downloading {url}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), progress=False)
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(
            f"{url} can't be downloaded ({reason}); without a network, put the file at {path}, or give any "
            "local file of weights."
        ) from None
    return path
