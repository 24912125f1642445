from .agdp_stage import pretrain_detector
from .augment import colour
from .augment_section import BoxAugment, ColourSection
from .data import DetectionDataset, Sample
from .finetune import labelled_samples
from .finetune_rounds import finetune_in_rounds
from .judged_boxes import choosing_images, with_chosen_boxes
from .proposals_stage import propose_boxes
from .section import DRAWN_EACH, DetectorSection, FinetuneSection
from .selection import shuffled, with_backgrounds
from .task import DetectionTask

__all__ = [
    "DRAWN_EACH",
    "BoxAugment",
    "ColourSection",
    "DetectionDataset",
    "DetectionTask",
    "DetectorSection",
    "FinetuneSection",
    "Sample",
    "choosing_images",
    "colour",
    "finetune_in_rounds",
    "labelled_samples",
    "pretrain_detector",
    "propose_boxes",
    "shuffled",
    "with_backgrounds",
    "with_chosen_boxes",
]
