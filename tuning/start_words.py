"""A start's word as settings of the one finetuning that begins with it."""

from typing import Any

from training.starts import OWN_STARTS, PUBLISHED

WEIGHTS = "weights"  # what a start that is a file is called in every project, whatever its name here


def finetuned_from(word: str) -> dict[str, Any]:
    """The settings `starts` and `weights` of `finetune`.

    Args:
        word: `scratch`, `agbp`, `agssp`, `coco`, `imagenet`, or what `starts.resolve_start` takes.
    """
    if word in (*OWN_STARTS, *PUBLISHED):
        return {"starts": [word], "weights": {}}
    return {"starts": [WEIGHTS], "weights": {WEIGHTS: word}}
