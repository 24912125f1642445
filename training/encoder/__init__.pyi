from .train import SurfaceClipSettings

__all__ = ["SurfaceClipSettings"]
