"""anomalib's WinCLIP, run by the Python that has it: CPU seconds of one batch, as a JSON list.

    PYTHON winclip_child.py BATCH SHOTS ROUNDS

Imports nothing of this project. Random weights, as they change no time; one thread.
"""

import json
import sys
import time

import torch
from anomalib.models.image.winclip import torch_model

SIDE = 240


def main(batch: int, shots: int, rounds: int) -> None:
    """Build, embed the references, then time whole forward passes; the first is not counted."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch_model.PRETRAINED = None  # else it downloads
    model = torch_model.WinClipModel().eval()
    images = torch.randn(batch, 3, SIDE, SIDE)
    times = []
    with torch.inference_mode():
        model.setup("steel sheet", torch.randn(shots, 3, SIDE, SIDE))
        for _ in range(rounds + 1):
            start = time.process_time()
            model(images)
            times.append(time.process_time() - start)
    print(json.dumps(times[1:]))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
