#!/usr/bin/env bash
# Low-rank updates of peft (LoRA) on the queries, keys and values of timm's models, one backward pass with a fresh head.
# Guess: the updates get gradients, in every model whose layers peft wraps without complaint.
# Seen:  peft 0.21.2 on timm 1.0.31: true of ViT, Swin and DINOv3's ViT. In BEiT, Swin V2, EVA-02 and DINOv3's ViT with biases
#        (`…_dinov3_qkvb`) the layers are wrapped, counted as trainable and never used: timm calls
#        `F.linear(x, self.qkv.weight, …)` there, past the wrapper's forward. No update gets a gradient, the head alone
#        learns, and nothing is said. torch's own parametrization of the weight acts in all of them.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check \
  peft==0.21.2 timm==1.0.31 torch==2.15.0 transformers==5.23.0 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import timm
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch.nn.utils.parametrize import register_parametrization

SMALL = {"num_classes": 3, "embed_dim": 32, "depth": 2, "num_heads": 2}
MODELS = {
    "vit_tiny_patch16_224": SMALL,
    "vit_small_patch16_dinov3": SMALL,
    "swin_tiny_patch4_window7_224": {"num_classes": 3},
    "beit_base_patch16_224": SMALL,
    "swinv2_tiny_window8_256": {"num_classes": 3},
    "eva02_tiny_patch14_224": SMALL,
    "vit_small_patch16_dinov3_qkvb": SMALL,
}


class Update(torch.nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.down = torch.nn.Parameter(torch.randn(2, weight.shape[1]))
        self.lora_B = torch.nn.Parameter(torch.zeros(weight.shape[0], 2))

    def forward(self, weight):
        return weight + self.lora_B @ self.down


def learning(model):
    """How many updates have a gradient, of how many."""
    side = model.pretrained_cfg["input_size"][-1]
    torch.nn.functional.cross_entropy(model(torch.randn(2, 3, side, side)), torch.tensor([0, 1])).backward()
    updates = [p for name, p in model.named_parameters() if "lora_B" in name]
    return sum(p.grad is not None for p in updates), len(updates)


seen = {}
for name, options in MODELS.items():
    torch.manual_seed(0)
    model = timm.create_model(name, **options)
    with_peft = inject_adapter_in_model(LoraConfig(r=2, target_modules=r".*attn\.qkv", modules_to_save=["head"]), model)
    model = timm.create_model(name, **options)
    for key, layer in list(model.named_modules()):
        if key.endswith("attn.qkv"):
            register_parametrization(layer, "weight", Update(layer.weight))
    seen[name] = learning(with_peft), learning(model)
    print(f"{name}: updates with a gradient {seen[name][0]} of peft, {seen[name][1]} as a parametrization")
print("peft", version("peft"), "timm", version("timm"), "torch", version("torch"))
bypassed = {name for name, ((count, _), _) in seen.items() if count == 0}
assert bypassed == set(list(MODELS)[3:]), bypassed
assert all(count == total > 0 for name, ((count, total), _) in seen.items() if name not in bypassed), seen
assert all(count == total > 0 for _, (count, total) in seen.values()), seen
PY
