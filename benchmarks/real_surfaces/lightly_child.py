"""Pretraining by lightly-train, run by the Python that has it: `PYTHON lightly_child.py REQUEST.json`.

Imports nothing of this project. The request: `folder` (written to), `images` (a folder), `start` (safetensors
of a whole YOLOv8n, or null), `seconds` to take (null: only to be timed), `method`, `image_size`,
`batch_size`, `precision`, `seed`. It leaves `weights.safetensors`, the network as lightly-train exports it as
a plain state dict, and `done.json`.
"""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import lightly_train
import torch
from safetensors.torch import load_file, save_file
from ultralytics import YOLO

PROBES = (3, 13)  # steps of two trainings, whose difference in time is that of ten
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}


def network(start: str | None, seed: int) -> Any:
    """A YOLOv8n, random or with a start's weights."""
    torch.manual_seed(seed)
    yolo = YOLO("yolov8n.yaml", verbose=False)
    if start is not None:
        state = {key: value.float() for key, value in load_file(start).items()}
        yolo.model.load_state_dict(state, strict=True)
    return yolo


def pretrain(request: dict[str, Any], out: Path, steps: int) -> float:
    """Train `steps` steps on a schedule of that length and export into `out`; the call's wall seconds."""
    images = sum(path.suffix.lower() in SUFFIXES for path in Path(request["images"]).rglob("*"))
    batch = min(request["batch_size"], images)
    model = network(request["start"], request["seed"])
    began = time.monotonic()
    lightly_train.pretrain(
        out=out,
        data=request["images"],
        model=model,
        method=request["method"],
        epochs=math.ceil(steps / (images // batch)),
        batch_size=batch,
        precision=request["precision"],
        seed=request["seed"],
        accelerator="cpu",
        transform_args={"image_size": (request["image_size"], request["image_size"])},
        trainer_args={"max_steps": steps},
    )
    return time.monotonic() - began


def main(path: Path) -> None:
    """Time a few steps, then train for as many as fill the time."""
    request = json.loads(path.read_text())
    folder = Path(request["folder"])
    short, long = (pretrain(request, folder / f"probe{steps}", steps) for steps in PROBES)
    step = max(1e-6, (long - short) / (PROBES[1] - PROBES[0]))
    done: dict[str, Any] = {"step_seconds": step, "version": lightly_train.__version__}
    if request["seconds"] is not None:
        overhead = max(0.0, short - PROBES[0] * step)
        steps = max(1, round((request["seconds"] - overhead) / step))
        done |= {"seconds": pretrain(request, folder / "run", steps), "steps": steps}
        exported = YOLO(folder / "run" / "exported_models" / "exported_last.pt").model.state_dict()
        plain = {key: value.float().contiguous() for key, value in exported.items()}
        save_file(plain, folder / "weights.safetensors")
    (folder / "done.json").write_text(json.dumps(done))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
