#!/usr/bin/env bash
# One tensor bounded twice in two places, x.clamp(0, 1).clamp(min=1e-5), as the DETR family's inverse sigmoid does for two boxes
# that have the same values; exported by torch.onnx.export with its defaults.
# Guess: onnx.checker takes the file, and onnxruntime gives what PyTorch gives.
# Seen:  torch 2.15.0 with onnxscript 0.7.2 merges each pair of bounds into one, and both name a constant that only one of them
#        defines: "Nodes in a graph must be topologically sorted"; onnxruntime doesn't open it. The same with optimize=False is
#        sound, as is one pair alone.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.31.1 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
import onnx
import onnxruntime
import torch


class Bounded(torch.nn.Module):
    def __init__(self, places):
        super().__init__()
        self.places = places

    def forward(self, x):
        shares = x.sigmoid()
        return tuple(shares.clamp(min=0, max=1).clamp(min=1e-5) * (1 + place) for place in range(self.places))


def sound(places, **options):
    module, example = Bounded(places), torch.linspace(-9, 9, 6).reshape(2, 3)
    torch.onnx.export(module, (example,), "file.onnx", dynamo=True, external_data=False, verbose=False, **options)
    try:
        onnx.checker.check_model(onnx.load("file.onnx"))
        session = onnxruntime.InferenceSession("file.onnx", providers=["CPUExecutionProvider"])
    except Exception as error:
        return type(error).__name__
    found = session.run(None, {session.get_inputs()[0].name: example.numpy()})
    return all(np.allclose(one, other.numpy(), atol=1e-6) for one, other in zip(found, module(example)))


seen = {"once": sound(1), "twice": sound(2), "twice, not optimised": sound(2, optimize=False)}
print("torch", version("torch"), "onnxscript", version("onnxscript"), seen)
assert seen == {"once": True, "twice": "ValidationError", "twice, not optimised": True}, seen
PY
