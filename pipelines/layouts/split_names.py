"""The words by which files and folders say to which published split their images belong."""

import re
from pathlib import PurePosixPath

TRAIN, VAL, TEST = "train", "val", "test"
_WORDS = {
    "train": TRAIN,
    "training": TRAIN,
    "trainval": TRAIN,
    "val": VAL,
    "valid": VAL,
    "validation": VAL,
    "test": TEST,
    "testing": TEST,
}
# A folder is named by the split alone, or with what it holds: train2017, test_images, obj_valid_data.
_FOLDER = re.compile(
    rf"(?:obj_)?({'|'.join(_WORDS)})[_-]?(?:\d{{4}})?(?:[_-]?(?:images?|imgs?|data|set))?", re.ASCII
)


def split_of_table(name: str) -> str | None:
    """The split that a table's name without suffix states (`instances_train2017`); None for several."""
    words = {_WORDS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _WORDS}
    return words.pop() if len(words) == 1 else None


def split_of_folder(name: str) -> str | None:
    """The split that a folder's name states."""
    match = _FOLDER.fullmatch(name.lower())
    return _WORDS[match[1]] if match else None


def split_of_place(path: PurePosixPath) -> str | None:
    """The split of the outermost folder that states one."""
    return next((split for part in path.parts[:-1] if (split := split_of_folder(part))), None)
