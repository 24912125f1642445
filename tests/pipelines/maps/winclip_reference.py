"""Makes `winclip_reference.json`: what anomalib's WinCLIP gives for small ViTs of seeded random weights.

anomalib wants open_clip < 2.26.1, whose transformer takes tokens first; with a later one its windows would
attend to each other instead of to their own patches. So it runs in an environment of its own, from the root:

    python -m venv /tmp/anomalib
    /tmp/anomalib/bin/pip install anomalib==2.7.0 open-clip-torch==2.24.0
    /tmp/anomalib/bin/python -m tests.pipelines.maps.winclip_reference
"""

import json
import zlib
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

RESULT = Path(__file__).with_suffix(".json")
DIM, IMAGE, SEED, PIXELS = 16, 32, 11, slice(1, None, 6)
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
VISION = {"image_size": IMAGE, "layers": 3, "width": 32, "head_width": 8, "patch_size": 8}
# Name to the differences in open_clip's CLIP arguments.
MODELS: dict[str, dict[str, Any]] = {
    "class_token": {"vision_cfg": VISION},
    "average_quick_gelu": {"vision_cfg": VISION | {"pool_type": "avg"}, "quick_gelu": True},
}
SHOTS = (0, 1, 3)


def fill(model: torch.nn.Module) -> None:
    """Weights that depend on each parameter's name only, spread so that attention is far from uniform."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            rng = np.random.default_rng([SEED, zlib.crc32(name.encode())])
            centre = 1.0 if ".ln_" in name and name.endswith("weight") else 0.0
            spread = 0.4 if "in_proj" in name else 0.2
            values = centre + spread * rng.standard_normal(tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(np.asarray(values)))


def images(seed: int, count: int) -> torch.Tensor:
    """(count, 3, IMAGE, IMAGE) float64 as the encoder gets them, already normalised."""
    pixels = np.random.default_rng([SEED, seed]).standard_normal((count, 3, IMAGE, IMAGE))
    return torch.from_numpy(pixels)


def texts() -> torch.Tensor:
    """(2, DIM) float64, L2-normalised: normal and anomalous, close enough for scores well inside 0…1."""
    rows = np.random.default_rng(SEED).standard_normal((2, DIM))
    rows[1] = rows[0] + 0.2 * rows[1]
    return torch.from_numpy(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def main() -> None:
    import open_clip
    from anomalib.models.image.winclip import torch_model

    versions = {name: metadata.version(name) for name in ("anomalib", "open-clip-torch", "torch")}
    document: dict[str, Any] = {"versions": versions, "cases": []}
    for name, arguments in MODELS.items():
        clip = open_clip.CLIP(DIM, text_cfg=TEXT, **arguments)
        fill(clip)
        clip.eval()
        # Only its way to the weights is replaced: it would download ViT-B-16-plus-240.
        torch_model.open_clip.create_model_and_transforms = lambda *a, loaded=clip, **k: (loaded, None, None)
        for shots in SHOTS:
            model = torch_model.WinClipModel().double().eval()
            model._text_embeddings = texts()
            if shots:
                model.setup(reference_images=images(1, shots))
            with torch.no_grad():
                result = model(images(0, 2))
            document["cases"].append(
                {
                    "model": name,
                    "shots": shots,
                    "scores": result.pred_score.tolist(),
                    "maps": result.anomaly_map[:, PIXELS, PIXELS].tolist(),
                }
            )
    RESULT.write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
