from .section import SurfaceClipSettings

__all__ = ["SurfaceClipSettings"]
