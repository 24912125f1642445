"""Classes that one half of a split has alone: few labels, or near-duplicates that stay together."""

from collections.abc import Set

from pipelines.corpus.bad_labels import first_and_count


def one_sided(train: Set[str], test: Set[str]) -> str | None:
    """What it means that a class lies in one half alone; None where none does.

    Args:
        train: class names of the labelled objects that are learnt from.
        test: those of the held-out ones; where a half has no object, there is nothing to compare.
    """
    if not train or not test:
        return None
    told = []
    if unlearnt := sorted(test - train):
        told.append(
            "held out alone, so that no detector learns it and it counts as AP 0: "
            f"{first_and_count(unlearnt)}"
        )
    if unmeasured := sorted(train - test):
        told.append(f"learnt from alone, so that no figure tells of it: {first_and_count(unmeasured)}")
    return "; ".join(told) or None


def one_sided_sentence(text: str, labels: str) -> str:
    """What is said of such a split.

    Args:
        text: see `one_sided`.
        labels: name of the stage.
    """
    return (
        f"{labels}: the split has classes on one side only ({text}). Label more images of them, or set "
        "test_share, or name the held-out images."
    )
