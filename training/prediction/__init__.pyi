from .batch import detect_batch
from .predict import ImagePrediction, UnreadableImage
from .readiness import look_as, ready
from .rows import draw_rows, predict_rows, read_rows
from .runtime import on_onnx, take_runtime
from .section import PredictSection
from .stage import predict_images
from .tiled import detect_tiled, tiles_of

__all__ = [
    "ImagePrediction",
    "PredictSection",
    "UnreadableImage",
    "detect_batch",
    "detect_tiled",
    "draw_rows",
    "look_as",
    "on_onnx",
    "predict_images",
    "predict_rows",
    "read_rows",
    "ready",
    "take_runtime",
    "tiles_of",
]
