"""Why an encoder can't be loaded, in a sentence; and the colours its images are normalised with."""

import pickle
import re
import zipfile
from typing import Any

import open_clip
from safetensors import SafetensorError

from cluster.errors import UserError

# What open_clip, torch and safetensors raise for files that are damaged, hostile or of another kind.
LOADING = (
    *(OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError),
    *(EOFError, StopIteration, MemoryError, RecursionError, OverflowError, zipfile.BadZipFile),
    *(SafetensorError, pickle.PickleError),
)
SHOWN = 3  # keys named of each kind
DEFAULTS = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}

_MISSING = re.compile(r"Missing key\(s\) in state_dict: (.*?)\. ?$", re.MULTILINE)
_UNKNOWN = re.compile(r"Unexpected key\(s\) in state_dict: (.*?)\. ?$", re.MULTILINE)
_SIZES = re.compile(
    r"size mismatch for (\S+): copying a param with shape torch\.Size\(\[(.*?)\]\) from checkpoint, "
    r"the shape in current model is torch\.Size\(\[(.*?)\]\)"
)


def reason_of(error: BaseException) -> str:
    """Why loading failed: the keys that don't fit, or the error's first line."""
    text = str(error).strip()
    missing, unknown = (
        re.findall('"(.*?)"', found[1]) if (found := pattern.search(text)) else []
        for pattern in (_MISSING, _UNKNOWN)
    )
    sizes = [f"{key} ({given}) instead of ({wanted})" for key, given, wanted in _SIZES.findall(text)]
    kinds = (("lack", missing), ("have unknown", unknown), ("have of another shape", sizes))
    told = [f"{what} {_some(keys)}" for what, keys in kinds if keys]
    if told:
        return f"of the model's keys the weights {'; '.join(told)}"
    if isinstance(error, StopIteration | AttributeError):
        return "the weights file holds no tensors by name"
    return text.splitlines()[0][:200] if text else type(error).__name__


def _some(keys: list[str]) -> str:
    shown = ", ".join(key[:120] for key in keys[:SHOWN])
    return f"{len(keys)} ({shown}{', …' if len(keys) > SHOWN else ''})"


def default_note(name: str, preprocess: Any) -> str | None:
    """What is said where mean or std are not given with an encoder; None where both are.

    Args:
        name: the encoder's name, for the sentence.
        preprocess: `preprocess_cfg` of the config; None for weights that have no such config.
    """
    given = preprocess if isinstance(preprocess, dict) else {}
    lacking = [key for key in DEFAULTS if given.get(key) is None]
    if not lacking:
        return None
    taken = " and ".join(f"{key} {', '.join(f'{v:.4f}' for v in DEFAULTS[key])}" for key in lacking)
    return (
        f'Encoder "{name}": nothing says which {" and ".join(lacking)} it was trained with; images are '
        f"normalised with open_clip's default, {taken} (others are named by preprocess_cfg in a model folder)"
    )


def colours(preprocess: Any, key: str, name: str) -> tuple[float, float, float]:
    """`mean` or `std` of an encoder's preprocessing, by RGB channel, for images in 0…1.

    Raises:
        UserError: not three numbers in that range (those for 0…255 would make maps of nothing), or a
            deviation of 0.
    """
    values = preprocess[key]
    numbers = list(values) if isinstance(values, list | tuple) else []
    fine = len(numbers) == 3 and all(type(v) in (int, float) and 0 <= v <= 1 for v in numbers)
    if not fine or (key == "std" and min(numbers) == 0):
        wanted = "above 0, at most 1" if key == "std" else "from 0 to 1"
        raise UserError(
            f'Encoder "{name}": preprocess_cfg.{key} must be three numbers {wanted} (images are in 0…1), not '
            f"{values!s:.60}."
        )
    red, green, blue = map(float, numbers)
    return red, green, blue
