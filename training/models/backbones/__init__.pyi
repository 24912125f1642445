from .base import Backbone, accepts, build, published
from .filling import fill, load_start
from .ultralytics import UltralyticsBackbone

__all__ = ["Backbone", "UltralyticsBackbone", "accepts", "build", "fill", "load_start", "published"]
