from .predict import ImagePrediction, UnreadableImage
from .section import PredictSection
from .stage import predict_images

__all__ = ["ImagePrediction", "PredictSection", "UnreadableImage", "predict_images"]
