from .batch import detect_batch
from .predict import ImagePrediction, UnreadableImage
from .readiness import ready
from .rows import draw_rows, predict_rows, read_rows
from .runtime import on_onnx, take_runtime
from .section import PredictSection
from .stage import predict_images
from .tiled import tiles_of

__all__ = [
    "ImagePrediction",
    "PredictSection",
    "UnreadableImage",
    "detect_batch",
    "draw_rows",
    "on_onnx",
    "predict_images",
    "predict_rows",
    "read_rows",
    "ready",
    "take_runtime",
    "tiles_of",
]
