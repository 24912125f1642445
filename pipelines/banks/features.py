"""Features of images at several levels, by any backbone of timm."""

from typing import Any

import timm
import torch
from torch import Tensor, nn

from cluster.errors import UserError
from cluster.progress import say
from pipelines.banks.matching import averaged
from pipelines.banks.section import LITE0, FeatureSettings
from pipelines.banks.weights import (
    bank_file,
    lite0_state,
    published_config,
    read_state,
    timm_name,
)
from pipelines.encoder import LOADING, reason_of

STRIDES = (8, 16)  # of the levels read where none are named
LIVE = 4  # tensors of the largest module's size that live at once: in, out, a residual, a workspace
LITE0_MEAN, LITE0_STD = 127 / 255, 128 / 255  # what these weights were trained with


class Backbone:
    """A frozen backbone of timm that gives features of square images.

    Args:
        bank: the bank's config, with another encoder than `clip`.
        device: torch device.

    Attributes:
        size: side in pixels of the input.
        grids, channels: patches along a side, and features of a patch, by level.
        image_bytes: approximate memory of one image in the backbone, in bytes.

    Raises:
        UserError: see `timm_name` and `bank_file`; weights that don't fit or can't be downloaded, a model
            without feature maps or without one of the levels, or that does not take the size.
    """

    def __init__(self, bank: FeatureSettings, device: str | torch.device = "cpu") -> None:
        self.name, self.size, self.key = timm_name(bank), bank.size, bank.key
        self.model = _loaded(bank, self.name).eval().requires_grad_(False)
        config = self.model.pretrained_cfg
        mean, std = config["mean"], config["std"]
        if bank.encoder == LITE0:
            mean, std = (LITE0_MEAN,) * 3, (LITE0_STD,) * 3
        self._require_whole_patches()
        self.levels: tuple[int, ...] | None = None
        probe, self.image_bytes = self._probe()
        self.levels = self._chosen(bank, [int(level.shape[-1]) for level in probe])
        self.grids = tuple(int(probe[level].shape[-1]) for level in self.levels)
        self.channels = tuple(int(probe[level].shape[1]) for level in self.levels)
        self.model.to(device)
        self._mean, self._std = (
            torch.tensor(values, device=device, dtype=torch.float32).view(3, 1, 1) for values in (mean, std)
        )

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> list[Tensor]:
        """Features by level, (B, h, w, D) L2-normalised, of (B, 3, S, S) float images in 0…1, RGB."""
        return [averaged(level) for level in self.plain(images)]

    @torch.inference_mode()
    def plain(self, images: Tensor) -> list[Tensor]:
        """Features by level as the backbone gives them, (B, D, h, w) float32; see `__call__`."""
        return [level.float() for level in self._maps((images - self._mean) / self._std)]

    def _maps(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.model.forward_intermediates(
            images,
            indices=None if self.levels is None else sorted(self.levels),
            intermediates_only=True,
            stop_early=True,
            output_fmt="NCHW",
        )
        return maps

    def _probe(self) -> tuple[list[Tensor], int]:
        """Every level's map of a black image, and the memory that an image takes."""
        largest = 0

        def noted(_: nn.Module, __: Any, output: Any) -> None:
            nonlocal largest
            if isinstance(output, Tensor):
                largest = max(largest, output.numel())

        hooks = [module.register_forward_hook(noted) for module in self.model.modules()]
        try:
            with torch.inference_mode():
                maps = self._maps(torch.zeros(1, 3, self.size, self.size))
            if not all(one.ndim == 4 and one.shape[2] == one.shape[3] for one in maps):
                raise ValueError("feature maps of another form")
        # timm's models raise these if they have no such maps, or if their grids fit other sizes only.
        except (AttributeError, AssertionError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(
                f"timm's {self.name} gives no feature maps of images of {self.size} px ({reason:.120}); take "
                f"another {self.key}.size or {self.key}.encoder."
            ) from None
        finally:
            for hook in hooks:
                hook.remove()
        return maps, LIVE * 4 * largest

    def _require_whole_patches(self) -> None:
        patch = getattr(getattr(self.model, "patch_embed", None), "patch_size", None)
        side = int(patch[0]) if isinstance(patch, tuple) else 1
        if self.size % side:  # the tower would leave the right and the lower edge out
            near = max(1, round(self.size / side)) * side
            raise UserError(
                f"{self.name} has patches of {side} px, which {self.key}.size={self.size} can't be cut into; "
                f"take {near}."
            )

    def _chosen(self, bank: FeatureSettings, grids: list[int]) -> tuple[int, ...]:
        """The numbers of the levels that are read."""
        count = len(grids)
        if bank.levels is not None:
            outside = [level for level in bank.levels if level >= count]
            if outside:
                raise UserError(
                    f"{bank.key}.levels: {self.name} has no level {outside[0]}; its {count} levels are 0 to "
                    f"{count - 1}, of {', '.join(map(str, grids))} patches a side."
                )
            return tuple(sorted(bank.levels))
        if len(set(grids)) == 1:
            return tuple(sorted({max(0, count // 2 - 1), max(0, 3 * count // 4 - 1)}))
        of_strides = tuple(level for level, grid in enumerate(grids) if -(-self.size // grid) in STRIDES)
        return of_strides or (max(0, count - 2),)


def _loaded(bank: FeatureSettings, name: str) -> Any:
    """The backbone with its weights, without a classifier."""
    options: dict[str, Any] = {"num_classes": 0}
    published = published_config(name)
    if published.fixed_input_size:  # ViT and Swin make their positions for one size
        options["img_size"] = bank.size
    file = bank_file(bank)
    if file is None:
        say(f"{name}: weights of timm, downloaded unless they are in its cache")
        try:
            return timm.create_model(name, pretrained=True, **options)
        # OSError: the network or the hub fails; RuntimeError: none are published.
        except (OSError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(
                f"timm's weights of {name} can't be had ({reason:.160}); without a network, download the "
                f"model's model.safetensors elsewhere and give its path as {bank.key}.weights."
            ) from None
    state = lite0_state(file) if bank.encoder == LITE0 else read_state(file)
    try:
        heads = published.classifier or ()
        for head in (heads,) if isinstance(heads, str) else heads:
            state = {key: tensor for key, tensor in state.items() if not key.startswith(f"{head}.")}
        # With as many classes there as here timm loads strictly: a tensor too few or too many is an error.
        given = {"state_dict": state, "num_classes": 0, "label_offset": 0, "source": "", "custom_load": False}
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=given, **options)
    except LOADING as error:
        raise UserError(
            f"The weights file {file} can't be loaded into timm's {name}: {reason_of(error)}; check that "
            f"{bank.key}.weights and {bank.key}.encoder belong together."
        ) from None
