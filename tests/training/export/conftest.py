"""The untrained detector and its ONNX file."""

from tests.training.runtimes.conftest import detector, exported

__all__ = ["detector", "exported"]
