"""KeAD from pixels to scores against docs/method.md#kead in numpy float64, for all option combinations."""

import copy
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import open_clip
import pytest
import torch
from scipy.special import erf

from pipelines.encoder.loading import LoadedEncoder
from pipelines.encoder.prompts import TEMPLATES, CategoryPrompts, DefectPrompt
from pipelines.maps.kead import KeAD
from pipelines.maps.section import KeadSettings
from tests.pipelines.tiny_encoder import HEADS, IMAGE, PATCH, tiny_clip, tiny_encoder

Array = npt.NDArray[np.float64]
TAU = 0.07
TILE = CategoryPrompts(object="tile", defects=(DefectPrompt(type="crack", features="a thin line"),))
NORMAL = [
    "tile",
    "flawless tile",
    "perfect tile",
    "unblemished tile",
    "tile without any flaw",
    "tile without any defect",
    "tile without any damage",
]
ANOMALOUS = ["damaged tile", "tile with flaw", "tile with defect", "tile with damage"]
DF = "tile with crack defect, it appears as a thin line"


def unit(values: Array) -> Array:
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True))


def softmax(logits: Array) -> Array:
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True))


class Vit:
    """open_clip's ViT as published, one image at a time, from its state dict alone."""

    def __init__(self, model: open_clip.CLIP, quick_gelu: bool, average: bool) -> None:
        self.w = {name: value.double().numpy() for name, value in model.visual.state_dict().items()}
        self.blocks = len(model.visual.transformer.resblocks)
        self.quick_gelu, self.average = quick_gelu, average

    def norm(self, name: str, x: Array) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return np.asarray(scaled * self.w[f"{name}.weight"] + self.w[f"{name}.bias"])

    def attention(self, block: str, x: Array, values_only: bool) -> Array:
        """Q-K attention, or V-V: the value in the place of query and key."""
        packed = x @ self.w[f"{block}.attn.in_proj_weight"].T + self.w[f"{block}.attn.in_proj_bias"]
        query, key, value = np.split(packed, 3, axis=-1)
        if values_only:
            query = key = value
        heads = []
        for q, k, v in zip(*(np.split(part, HEADS, axis=-1) for part in (query, key, value)), strict=True):
            heads.append(softmax(q @ k.T / np.sqrt(q.shape[-1])) @ v)
        joined = np.concatenate(heads, -1)
        out = joined @ self.w[f"{block}.attn.out_proj.weight"].T + self.w[f"{block}.attn.out_proj.bias"]
        return np.asarray(out)

    def mlp(self, block: str, x: Array) -> Array:
        hidden = x @ self.w[f"{block}.mlp.c_fc.weight"].T + self.w[f"{block}.mlp.c_fc.bias"]
        if self.quick_gelu:
            hidden = hidden / (1 + np.exp(-1.702 * hidden))
        else:
            hidden = hidden * 0.5 * (1 + erf(hidden / np.sqrt(2)))
        return np.asarray(
            hidden @ self.w[f"{block}.mlp.c_proj.weight"].T + self.w[f"{block}.mlp.c_proj.bias"]
        )

    def run(self, image: Array) -> tuple[Array, list[Array], list[Array]]:
        """Image embedding; each block's input (and the last output); each block's vv of its input."""
        side = IMAGE // PATCH
        tokens = [self.w["class_embedding"]]
        for row, column in product(range(side), range(side)):
            patch = image[:, row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH]
            tokens.append((self.w["conv1.weight"] * patch).sum((1, 2, 3)))
        x = self.norm("ln_pre", np.stack(tokens) + self.w["positional_embedding"])
        inputs, vv = [x], []
        for number in range(self.blocks):
            block = f"transformer.resblocks.{number}"
            normed = self.norm(f"{block}.ln_1", x)
            vv.append(self.attention(block, normed, values_only=True))
            x = x + self.attention(block, normed, values_only=False)
            x = x + self.mlp(block, self.norm(f"{block}.ln_2", x))
            inputs.append(x)
        final = self.norm("ln_post", x)
        pooled = final[1:].mean(0) if self.average else final[0]
        return unit(pooled @ self.w["proj"]), inputs, vv

    def patches(self, inputs: list[Array], vv: list[Array], options: dict[str, Any]) -> list[Array]:
        """Patch embeddings of the four layers n/4, n/2, 3n/4, n; surgery in the last 3/4 of the blocks."""
        first = self.blocks - 3 * self.blocks // 4 + 1
        read = []
        for layer in (self.blocks * quarter // 4 for quarter in (1, 2, 3, 4)):
            surgery = options["vv"] and layer >= first
            if not surgery:
                y = inputs[layer]
            elif options["residual"]:
                last = self.blocks if options["released_layers"] else layer
                y = inputs[first - 1] + sum(vv[first - 1 : last])
            else:
                y = vv[layer - 1]
            read.append(unit(self.norm("ln_post", y[1:]) @ self.w["proj"]))
        return read


def text(model: Any, encoder: LoadedEncoder, states: list[str]) -> Array:
    filled = [template.replace("{}", state) for state in states for template in TEMPLATES]
    with torch.no_grad():
        embedded = model.encode_text(encoder.tokenizer(filled)).numpy()
    return unit(unit(embedded).mean(0))


def s(f: Array, t_n: Array, t_a: Array) -> Array:
    """Eq. 1."""
    normal, anomalous = np.exp(f @ t_n / TAU), np.exp(f @ t_a / TAU)
    return np.asarray(anomalous / (normal + anomalous))


class RememberingEncoder(LoadedEncoder):
    """Encodes each list of sentences once: most combinations of options ask for the same ones."""

    @cached_property
    def remembered(self) -> dict[bytes, torch.Tensor]:
        return {}

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        key = tokens.numpy().tobytes()
        if key not in self.remembered:
            self.remembered[key] = super().encode_text(tokens)
        return self.remembered[key]


@dataclass
class Known:
    """What the options of one depth share: the models and the reference's passes over all images."""

    encoder: LoadedEncoder
    exact: Any
    vit: Vit
    images: torch.Tensor
    references: torch.Tensor

    def passes(self, pixels: torch.Tensor) -> list[tuple[Array, list[Array], list[Array]]]:
        mean, std = (np.array(x)[:, None, None] for x in (self.encoder.mean, self.encoder.std))
        return [self.vit.run((image / 255 - mean) / std) for image in pixels.double().numpy()]


def known(depth: int, *, quick_gelu: bool = False, average: bool = False) -> Known:
    model = tiny_clip(depth, quick_gelu, **({"pool_type": "avg"} if average else {}))
    exact = copy.deepcopy(model)
    rng = np.random.default_rng(depth)
    images, references = (
        torch.from_numpy(rng.integers(0, 256, (2, 3, IMAGE, IMAGE), dtype=np.uint8)) for _ in range(2)
    )
    plain = tiny_encoder(model)
    tokens = cache(lambda texts: plain.tokenizer(list(texts)))
    encoder = RememberingEncoder(**{**vars(plain), "tokenizer": lambda texts: tokens(tuple(texts))})
    return Known(encoder, exact, Vit(exact, quick_gelu, average), images, references)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("depth", "kind"), [(12, {}), (24, {"quick_gelu": True}), (32, {"average": True})], ids=["12", "24", "32"]
)
def test_every_combination_of_options(depth: int, kind: dict[str, bool]) -> None:
    case = known(depth, **kind)
    judged, normal_ones = case.passes(case.images), case.passes(case.references)
    texts = {
        name: text(case.exact, case.encoder, states)
        for name, states in [
            ("normal", NORMAL),
            ("plain", ANOMALOUS),
            ("df", [*ANOMALOUS, DF]),
            ("empty", [""]),
        ]
    }
    flags = ("vv", "residual", "released_layers", "redundant_text", "defect_features")
    seen = []
    for *chosen, score, shots in product(*[(False, True)] * len(flags), ("paper", "released"), (0, 2)):
        options: dict[str, Any] = dict(zip(flags, chosen, strict=True))
        method = KeAD(case.encoder, KeadSettings.model_validate({**options, "score": score, "shots": shots}))
        output = method(case.images, [method.category_state(TILE, case.references)] * 2)
        t_n, t_a = texts["normal"], texts["df" if options["defect_features"] else "plain"]
        if options["redundant_text"]:
            t_n, t_a = unit(t_n - texts["empty"]), unit(t_a - texts["empty"])
        banks = [case.vit.patches(inputs, vv, options) for _, inputs, vv in normal_ones]
        for row, (cls, inputs, vv) in enumerate(judged):
            layers = case.vit.patches(inputs, vv, options)
            m = np.mean([s(layer, t_n, t_a) for layer in layers], axis=0)
            if shots:
                m = m + np.mean(
                    [
                        (0.5 * (1 - layer @ np.concatenate(bank).T)).min(1)
                        for layer, bank in zip(layers, zip(*banks, strict=True), strict=True)
                    ],
                    axis=0,
                )
            total = (s(cls, t_n, t_a) + m.max()) / (2 if score == "released" else 1)
            np.testing.assert_allclose(output.maps[row].flatten().numpy(), m, atol=1e-4, rtol=0)
            assert output.score[row].item() == pytest.approx(total, abs=1e-4)
            seen.append(m)
    assert np.ptp(np.stack(seen)) > 0.05  # the options do change the maps
