"""Which classes a pickle names, read from its opcodes and never run."""

import pickletools
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

BEFORE_THE_CONTENT = (
    3  # pickles of a file before PyTorch 1.6: magic number, protocol, machine; then the content
)
MODERN = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
}  # modules that protocol 2 writes as Python 2 had them
MARK = object()


@dataclass
class PickledClasses:
    """What a pickle names.

    Attributes:
        named: classes and functions, `module.name`, as `weights_only` looks them up.
        mappings: those of them whose instances are filled by key, as subclasses of `dict` are.
    """

    named: set[str] = field(default_factory=set)
    mappings: set[str] = field(default_factory=set)


def classes_in(path: Path) -> PickledClasses:
    """The classes that a file of `torch.save` names, of the form since PyTorch 1.6 (a zip) or the one before.

    Raises:
        ValueError, EOFError, zipfile.BadZipFile: no such file.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            entry = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
            if entry is None:
                raise ValueError("it is an archive without data.pkl")
            with archive.open(entry) as pickled:
                return _read(pickled)
    with path.open("rb") as file:
        for _ in range(BEFORE_THE_CONTENT):
            for _ in pickletools.genops(file):
                pass
        return _read(file)


def _read(stream: IO[bytes]) -> PickledClasses:
    """Follow the opcodes by their effect on the stack, whose items are the names of what made them."""
    found = PickledClasses()
    stack: list[object] = []
    memo: dict[object, object] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name == "GLOBAL":
            module, _, attribute = str(argument).partition(" ")
            stack.append(f"{MODERN.get(module, module)}.{attribute}")
            found.named.add(str(stack[-1]))
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo.get(argument))
        elif name in ("NEWOBJ", "REDUCE", "BUILD", "APPEND"):
            stack.pop()  # what was below them made the object, or is filled
        elif name == "MARK":
            stack.append(MARK)
        elif name in ("SETITEM", "SETITEMS", "APPENDS"):
            _pop(stack, opcode)
            filled = stack[-1]
            if isinstance(filled, str) and name != "APPENDS":
                found.mappings.add(filled)
        else:
            _pop(stack, opcode)
            stack.extend([None] * len(opcode.stack_after))
    return found


def _pop(stack: list[object], opcode: pickletools.OpcodeInfo) -> None:
    """Take off what the opcode takes, but for the container that it fills."""
    if pickletools.markobject in opcode.stack_before:
        while stack.pop() is not MARK:
            pass
        return
    kept = 1 if opcode.name == "SETITEM" else 0
    for _ in range(len(opcode.stack_before) - kept):
        stack.pop()
