"""Threads of a process that does a worker's work itself: they are its own again afterwards."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def threads_kept() -> Iterator[None]:
    """After the block, PyTorch and OpenCV have as many threads as before; steps set what suits a worker."""
    before = {name: sys.modules[name] for name in ("torch", "cv2") if name in sys.modules}
    torch, cv2 = before.get("torch"), before.get("cv2")
    torch_threads = torch.get_num_threads() if torch is not None else 0
    cv2_threads = cv2.getNumThreads() if cv2 is not None else 0
    try:
        yield
    finally:
        if torch is not None:
            torch.set_num_threads(torch_threads)
        if cv2 is not None:
            cv2.setNumThreads(cv2_threads)
