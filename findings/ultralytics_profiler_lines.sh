#!/usr/bin/env bash
# Who wants no lines of PyTorch's profiler on stderr sets KINETO_LOG_LEVEL=99 before anything is imported.
# Guess: a value that the user set stays.
# Seen:  importing ultralytics 8.4.190 sets it to 5, whatever it was ("suppress verbose output", by its comment), and
#        torch 2.15.0 logs starts and stops of its profiler above level 5: lines with "USDT" come back.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check ultralytics==8.4.190 torch==2.15.0 torchvision==0.29.2
cd "$home"
cat > profile.py <<'PY'
import os
import sys

os.environ["KINETO_LOG_LEVEL"] = "99"
import torch

if "ultralytics" in sys.argv:
    import ultralytics
with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]):
    torch.ones(3).sum()
print(os.environ["KINETO_LOG_LEVEL"])
PY
export YOLO_CONFIG_DIR=$home YOLO_OFFLINE=true
alone=$(env/bin/python profile.py 2> alone.txt)
beside=$(env/bin/python profile.py ultralytics 2> beside.txt)
echo "torch alone: level $alone, $(grep -c USDT alone.txt || true) lines of the profiler"
echo "with ultralytics imported: level $beside, $(grep -c USDT beside.txt || true) lines of the profiler"
[ "$alone" = 99 ] && ! grep -q USDT alone.txt && [ "$beside" = 5 ] && grep -q USDT beside.txt
