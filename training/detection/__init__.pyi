from .agdp_stage import pretrain_detector
from .augment import colour
from .data import DetectionDataset, Sample
from .finetune import labelled_samples
from .finetune_stage import finetune_detector
from .proposals_stage import propose_boxes
from .section import BoxAugment, ColourSection, DetectorSection, FinetuneSection
from .selection import shuffled, with_backgrounds
from .task import DetectionTask

__all__ = [
    "BoxAugment",
    "ColourSection",
    "DetectionDataset",
    "DetectionTask",
    "DetectorSection",
    "FinetuneSection",
    "Sample",
    "colour",
    "finetune_detector",
    "labelled_samples",
    "pretrain_detector",
    "propose_boxes",
    "shuffled",
    "with_backgrounds",
]
