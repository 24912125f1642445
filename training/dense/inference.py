"""Whole images through models that learnt from crops: sliding windows or all at once."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from faster_coco_eval.core import mask as coco_mask
from torch import Tensor

from pipelines.boxes import unsuppressed
from pipelines.images import taper
from training.dense.cropping import Window, tiles
from training.dense.section import CropSection
from training.metrics import Detections, Runs
from training.models import Image
from training.models.detectors import Detector, Predictions
from training.models.segmenters import Segmenter

BATCH = 8  # windows at a time
STEP = 32  # sides of the full image are filled up to multiples of it
SEAM_IOU = 0.5  # above which boxes of one class are one object, where the detector has no threshold
MASK_SHARE = 0.5  # least share at which a pixel is the object's, as in COCO's protocol
MAX_FOUND = 100  # boxes of an image, COCO's limit


def windows_of(width: int, height: int, crop: CropSection) -> list[Window]:
    """The windows that inference looks at."""
    if crop.inference == "sliding":
        return tiles(width, height, crop.side, crop.overlap)
    return [Window(0, 0, -(-width // STEP) * STEP, -(-height // STEP) * STEP)]


def _batches(
    image: Image, windows: Sequence[Window], device: torch.device
) -> Iterator[tuple[Sequence[Window], Tensor]]:
    for start in range(0, len(windows), BATCH):
        some = windows[start : start + BATCH]
        stacked = np.stack([window.image(image).transpose(2, 0, 1) for window in some])
        yield some, torch.from_numpy(stacked).to(device).float() / 255


def segment(model: Segmenter, image: Image, crop: CropSection, device: torch.device) -> npt.NDArray[np.uint8]:
    """The class of every pixel, (H, W): 0 the background.

    Overlapping windows are averaged. A pixel weighs more the farther it is from its window's border, because
    the model sees least around it there.

    Args:
        model: the model, on `device`.
        image: (H, W, 3) uint8.
        crop: windows and overlap of inference.
        device: the model's device.
    """
    height, width = image.shape[:2]
    windows = windows_of(width, height, crop)
    total = torch.zeros(len(model.classes) + 1, height, width, device=device)
    weights = torch.from_numpy(taper(windows[0].height, windows[0].width)).to(device)
    for some, images in _batches(image, windows, device):
        for window, probabilities in zip(some, model.probabilities(images).float(), strict=True):
            rows, columns = min(window.height, height - window.top), min(window.width, width - window.left)
            target = total[:, window.top : window.top + rows, window.left : window.left + columns]
            target += (probabilities * weights)[:, :rows, :columns]
    labels: npt.NDArray[np.uint8] = total.argmax(dim=0).to(torch.uint8).cpu().numpy()
    return labels


def detect_windows(
    model: Detector, image: Image, crop: CropSection, device: torch.device, *, masks: bool = False
) -> Detections:
    """The objects of an image, best first, in its pixels.

    Suppression goes by class over the boxes of all windows; an object cut by a window's border may be found
    twice, as a part and as a whole.

    Args:
        model: the model, on `device`.
        image: (H, W, 3) uint8.
        crop: windows and overlap of inference.
        device: the model's device.
        masks: whether to predict masks too.
    """
    height, width = image.shape[:2]
    boxes, scores, labels = [], [], []
    shapes: list[tuple[Window, Tensor]] = []  # every box's window, and its mask there
    windows = windows_of(width, height, crop)
    for some, images in _batches(image, windows, device):
        areas = [window.shown(width, height) for window in some]
        predictions = model.predict(images, max_boxes=MAX_FOUND, areas=areas)
        shares = model.predict_masks(images, predictions) if masks else [None] * len(predictions)
        for window, each, share in zip(some, predictions, shares, strict=True):
            corner = torch.tensor([window.left, window.top] * 2, dtype=torch.float32)
            boxes.append(each.boxes.float().cpu() + corner)
            scores.append(each.scores.float().cpu())
            labels.append(each.labels.cpu())
            if share is not None:
                shapes += [(window, mask) for mask in (share >= MASK_SHARE).cpu()]
    merged = Predictions(torch.cat(boxes), torch.cat(scores), torch.cat(labels))
    kept = merged.scores.argsort(descending=True, stable=True)
    if model.nms_iou is not None or len(windows) > 1:  # else a detector that finds each object once
        limit = model.nms_iou if model.nms_iou is not None else SEAM_IOU
        kept = kept[unsuppressed(merged.boxes[kept], limit, merged.labels[kept])]
    kept = kept[:MAX_FOUND]
    return Detections(
        merged.boxes[kept].double().numpy(),
        merged.scores[kept].double().numpy(),
        merged.labels[kept].numpy(),
        [_runs(*shapes[int(place)], width, height) for place in kept] if masks else None,
    )


def _runs(window: Window, mask: Tensor, width: int, height: int) -> Runs:
    """A window's mask as run lengths of the whole image."""
    whole = np.zeros((height, width), np.uint8, order="F")
    part = whole[window.top : window.top + window.height, window.left : window.left + window.width]
    part[:] = mask.numpy()[: part.shape[0], : part.shape[1]]
    return encoded(whole)


def encoded(mask: npt.NDArray[np.uint8]) -> Runs:
    """COCO's run lengths of a mask."""
    runs: Runs = coco_mask.encode(np.asfortranarray(mask))
    return runs
