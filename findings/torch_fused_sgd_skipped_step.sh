#!/usr/bin/env bash
# Mixed precision with PyTorch's fused SGD with momentum: the loss scale starts high, so the first fp16 steps of a training
# commonly overflow and are skipped, which is what a GradScaler is for.
# Guess: a skipped step leaves weights and momentum as they were; the next step is the first.
# Seen:  torch 2.13.0 (2.15.0 alike) allots the momentum of a first step without filling it, as the kernel is to do so.
#        Where that step is skipped nothing fills it, and the next step goes on with what the memory held: weights of
#        1e26 or NaN, or a change that no seed repeats. The plain SGD and the fused AdamW are right.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 "numpy<3" 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - <<'PY'
import torch


def trained(name, fused):
    """One weight after a step that overflows and one that does not; memory that is used again held sevens."""
    weight = torch.nn.Parameter(torch.ones(1000))
    settings = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = getattr(torch.optim, name)([weight], lr=0.1, fused=fused, **settings)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    for factor in (float("inf"), 1.0):
        optimizer.zero_grad()
        scaler.scale((weight * weight).sum() * factor).backward()
        used = [torch.full((1000,), 7.0) for _ in range(50)]
        del used  # free again, for whoever asks next
        scaler.step(optimizer)
        scaler.update()
    return weight.detach()


for name in ("AdamW", "SGD"):
    plain, fused = trained(name, False), trained(name, True)
    far = float((plain - fused).abs().nan_to_num(float("inf")).max())
    print("torch", torch.__version__, name, "plain", plain[0].item(), "largest difference of the fused one:", far)
    assert far < 1e-6 if name == "AdamW" else far > 0.1, (name, far)
PY
