"""Features of the frozen encoder, kept while a head is trained: files of a few images, written once."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from cluster.progress import progress
from cluster.storage import Storage
from training.heads.examples import Example, chunks

AT_ONCE = 16  # images of a forward pass
FILES = 256  # about as many at most, as all are open at once
FOLDER = "features"

Tensors = Mapping[str, Tensor]  # name → (images, …)


def write_shards(
    directory: Storage,
    examples: Sequence[Example],
    read: Callable[[Sequence[Example]], Tensors],
    title: str,
) -> None:
    """Keep what `read` makes of the examples, file by file; those of a killed call are not made again.

    Args:
        directory: the stage's directory.
        examples: in an order that is always the same.
        read: tensors of some examples by name, the first side that of the examples.
        title: shown beside the progress bar.
    """
    with progress(title, len(examples)) as bar:
        for number, part in enumerate(chunks(examples, file_images(len(examples)))):
            name = shard_name(number)
            if not directory.exists(name):
                passes = [read(few) for few in chunks(part, AT_ONCE)]
                kept = {key: torch.cat([each[key] for each in passes]).cpu() for key in passes[0]}
                directory.write(name, save({key: tensor.contiguous() for key, tensor in kept.items()}))
            bar.advance(len(part))


def file_images(count: int) -> int:
    """Images of a file where there are so many in all: whole forward passes."""
    return AT_ONCE * max(1, -(-count // (AT_ONCE * FILES)))


def shard_name(number: int) -> str:
    """Name of a file below the stage's directory."""
    return f"{FOLDER}/{number:06d}.safetensors"


class Shards:
    """The kept tensors, image by image; files are opened when they are first read.

    Args:
        directory: the stage's directory.
        count: number of examples.
    """

    def __init__(self, directory: Storage, count: int) -> None:
        self.directory, self.count, self._images = directory, count, file_images(count)
        self._stack = ExitStack()
        self._open: dict[int, Any] = {}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Tensors of one example, without the first side."""
        number, place = divmod(index, self._images)
        if number not in self._open:
            path = self._stack.enter_context(self.directory.local_copy(shard_name(number)))
            self._open[number] = self._stack.enter_context(safe_open(path, framework="pt"))
        file = self._open[number]
        return {name: file.get_slice(name)[place] for name in self._names}

    @cached_property
    def _names(self) -> list[str]:
        return sorted(next(iter(self._open.values())).keys())


def stacked(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Items joined to a batch: tensors are stacked, float16 as float32, all else is listed."""
    batch: dict[str, Any] = {}
    for name, first in items[0].items():
        values = [item[name] for item in items]
        if not isinstance(first, Tensor):
            batch[name] = values
            continue
        joined = torch.stack(values)
        batch[name] = joined.float() if joined.dtype == torch.float16 else joined
    return batch
