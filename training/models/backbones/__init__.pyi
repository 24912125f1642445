from .base import Backbone, accepts, build, published_backbone
from .filling import fill, load_start
from .ultralytics import UltralyticsBackbone

__all__ = ["Backbone", "UltralyticsBackbone", "accepts", "build", "fill", "load_start", "published_backbone"]
