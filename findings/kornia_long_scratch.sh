#!/usr/bin/env bash
# The connected components of a mask with one straight scratch of 1200×1 pixels and one dent of 10×10, by
# kornia.contrib.connected_components.
# Guess: two components; or an error or a warning that the labels have not settled.
# Seen:  kornia 0.9.0 gives the scratch 1100 labels in its default 100 steps, and 200 in 1000 steps: a label moves on by one
#        pixel a step, and what it has not reached keeps the numbers of its pixels. Nothing is said. Up to 101 pixels a
#        straight scratch is one. A mean over regions of "share of it that was found" (per-region overlap, AUPRO), which
#        is 0.5 where the scratch is found and the dent is not, is 0.999 over these labels, and 0.995 after 1000 steps.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.2.6 scipy==1.16.3 2>/dev/null
"$home/env/bin/pip" install --quiet --disable-pip-version-check kornia==0.9.0 2>/dev/null
"$home/env/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
import torch
from kornia.contrib import connected_components
from scipy import ndimage

mask = np.zeros((40, 1300), bool)
mask[5, 50:1250] = True
mask[20:30, 600:610] = True
found = np.zeros_like(mask)
found[5] = True


def regions(labels: np.ndarray) -> list[float]:
    """The share of each region that is found."""
    return [float(found[labels == label].mean()) for label in np.unique(labels[mask])]


def of_kornia(pixels: np.ndarray, **options: int) -> np.ndarray:
    return connected_components(torch.from_numpy(pixels)[None, None].float(), **options)[0, 0].numpy()


shares = {
    "scipy": regions(ndimage.label(mask, np.ones((3, 3)))[0]),
    "kornia": regions(of_kornia(mask)),
    "kornia, 1000 steps": regions(of_kornia(mask, num_iterations=1000)),
}
print("kornia", version("kornia"), "scipy", version("scipy"))
for name, each in shares.items():
    print(f"  {name}: {len(each)} regions, mean share found {np.mean(each):.3f}")
straight = np.zeros((3, 120), bool)
counts = {}
for length in (101, 102):
    straight[:] = False
    straight[1, 5 : 5 + length] = True
    counts[length] = len(np.unique(of_kornia(straight)[straight]))
print("  regions of a straight scratch by its length:", counts)
assert [len(each) for each in shares.values()] == [2, 1101, 201], {name: len(each) for name, each in shares.items()}
assert np.allclose([np.mean(each) for each in shares.values()], [0.5, 0.9991, 0.995], atol=1e-3)
assert counts == {101: 1, 102: 2}, counts
PY
