from .batch import detect_batch
from .predict import ImagePrediction, UnreadableImage
from .readiness import ready
from .rows import draw_rows, predict_rows, read_rows
from .section import PredictSection
from .stage import predict_images

__all__ = [
    "ImagePrediction",
    "PredictSection",
    "UnreadableImage",
    "detect_batch",
    "draw_rows",
    "predict_images",
    "predict_rows",
    "read_rows",
    "ready",
]
