"""onnxruntime on one thread: idle ones spin, which the tests' other processes pay for."""

from pathlib import Path
from typing import Any

import onnxruntime


def session_of(model: bytes | Path) -> Any:
    """A session on the CPU, of a file or of its content."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    content = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
