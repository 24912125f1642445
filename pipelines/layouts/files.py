"""A tree's file names in Arrow arrays: some 60 bytes a file, where a Python path takes 600."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

NAMES_AT_ONCE = 1 << 16  # Python strings that are held before they go into an array
PLACES_AT_ONCE = 1 << 12

Places = npt.NDArray[np.int64]


class SortedNames(Sequence[bytes]):
    """UTF-8 names in code point order, which is that of `str` too.

    Args:
        names: sorted, without nulls.
    """

    def __init__(self, names: pa.LargeStringArray) -> None:
        _, offsets, data = names.buffers()
        self._ends = memoryview(offsets).cast("q")[names.offset :] if len(names) else memoryview(b"")
        self._data = memoryview(data if data is not None else b"")
        self._count = len(names)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> list[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | list[bytes]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(self._count))]
        return bytes(self._data[self._ends[place] : self._ends[place + 1]])

    def place(self, name: str) -> int | None:
        """The place of a name; None where it is not there."""
        wanted = name.encode(errors="surrogatepass")  # a name that is no UTF-8 equals none
        place = bisect_left(self, wanted)
        return place if place < self._count and self[place] == wanted else None


class Paths(Sequence[PurePosixPath]):
    """Some of the files, as paths that are made when they are asked for.

    Args:
        names: names of all files.
        places: which of them, (N,) int64.
    """

    def __init__(self, names: SortedNames, places: Places) -> None:
        self._names, self._places = names, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> PurePosixPath: ...
    @overload
    def __getitem__(self, place: slice) -> "Paths": ...
    def __getitem__(self, place: int | slice) -> "PurePosixPath | Paths":
        if isinstance(place, slice):
            return Paths(self._names, self._places[place])
        return PurePosixPath(self._names[int(self._places[place])].decode())

    def __iter__(self) -> Iterator[PurePosixPath]:
        names, places = self._names, self._places
        return (
            PurePosixPath(names[place].decode())
            for start in range(0, len(places), PLACES_AT_ONCE)
            for place in places[start : start + PLACES_AT_ONCE].tolist()
        )


class Files(Mapping[PurePosixPath, tuple[int, int]]):
    """Relative path → (bytes, modified in ns), sorted by path.

    Args:
        names: sorted and different.
        states: bytes and times, (N, 2) int64.
        kinds: the place of each file's suffix in `suffixes`, (N,).
        suffixes: all suffixes, lower case, with the dot.
    """

    def __init__(
        self,
        names: pa.LargeStringArray,
        states: npt.NDArray[np.int64],
        kinds: npt.NDArray[np.int32],
        suffixes: Mapping[str, int],
    ) -> None:
        self._array, self._states, self._kinds, self._suffixes = names, states, kinds, suffixes
        self.names = SortedNames(names)

    @classmethod
    def listed(cls, found: Iterable[tuple[PurePosixPath, int, int]]) -> "Files":
        """The files in the order of their paths; of a path that is found twice the last state counts.

        Args:
            found: relative path, bytes, and time of modification in ns.
        """
        parts: list[pa.LargeStringArray] = []
        waiting: list[str] = []
        states, kinds, suffixes = array("q"), array("i"), dict[str, int]()
        for path, size, modified in found:
            waiting.append(str(path))
            states.extend((size, modified))
            kinds.append(suffixes.setdefault(path.suffix.lower(), len(suffixes)))
            if len(waiting) == NAMES_AT_ONCE:
                parts.append(pa.array(waiting, pa.large_string()))
                waiting.clear()
        parts.append(pa.array(waiting, pa.large_string()))
        names = pa.concat_arrays(parts)
        del parts
        order = pc.sort_indices(names)  # stable
        names, chosen = names.take(order), order.to_numpy()
        if len(names) > 1:
            last = np.append(pc.not_equal(names[:-1], names[1:]).to_numpy(zero_copy_only=False), True)
            if not last.all():
                names, chosen = names.filter(pa.array(last)), chosen[last]
        return cls(
            names,
            np.frombuffer(states, np.int64).reshape(-1, 2)[chosen],
            np.frombuffer(kinds, np.int32)[chosen],
            suffixes,
        )

    def __getitem__(self, path: PurePosixPath) -> tuple[int, int]:
        state = self.state(str(path))
        if state is None:
            raise KeyError(path)
        return state

    def __contains__(self, path: object) -> bool:
        return self.names.place(str(path)) is not None

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[PurePosixPath]:
        return iter(Paths(self.names, np.arange(len(self.names))))

    def state(self, name: str) -> tuple[int, int] | None:
        """Bytes and time of the file with that relative path; None where there is none."""
        place = self.names.place(name)
        return None if place is None else (int(self._states[place, 0]), int(self._states[place, 1]))

    def places(self, suffixes: Iterable[str]) -> Places:
        """The places of the files with one of these suffixes (lower case, with the dot)."""
        kinds = [self._suffixes[suffix] for suffix in suffixes if suffix in self._suffixes]
        return np.flatnonzero(np.isin(self._kinds, kinds))

    def ending(self, suffixes: Iterable[str]) -> Paths:
        """The paths with one of these suffixes (lower case, with the dot)."""
        return Paths(self.names, self.places(suffixes))

    def without(self, suffixes: Iterable[str]) -> "Files":
        """The files with none of these suffixes."""
        kept = np.ones(len(self), np.bool_)
        kept[self.places(suffixes)] = False
        names = self._array.filter(pa.array(kept))
        return Files(names, self._states[kept], self._kinds[kept], self._suffixes)
