#!/usr/bin/env bash
# A sound ONNX file whose name holds a comma, `press,line2.onnx`, given to openvino.convert_model.
# Guess: it is opened: a comma is a letter like any other in a path, and in a temporary folder's.
# Seen:  openvino 2026.4.1 takes the path apart at its commas and says that "press" does not exist; a comma in the name
#        of any folder above does the same. openvino.Core().read_model opens the file.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 onnx==1.20.1 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - <<'PY'
import sys

sys.modules["openvino_telemetry"] = None  # it would tell of its use
from pathlib import Path

import onnx
import openvino
from onnx import TensorProto, helper

print("openvino", openvino.__version__)
ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Exp", ["x"], ["y"])], "g", ends[:1], ends[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
Path("a,b").mkdir()
for name, missing in (("press.onnx", None), ("press,line2.onnx", "press"), ("a,b/press.onnx", "a")):
    onnx.save(model, name)
    assert len(openvino.Core().read_model(name).get_ops()) == 3
    try:
        openvino.convert_model(name)
        said = None
    except Exception as error:
        said = str(error)
    print(f"convert_model({name!r}): {said or 'converted'}")
    assert (said is None) == (missing is None)
    assert said is None or f'"{missing}" does not exist' in said
PY
