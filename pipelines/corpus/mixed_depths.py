"""Categories where some images have 8 bits and others more: scaled otherwise, the two look unlike."""

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.corpus.bad_labels import first_and_count


def mixed_depths(inspected: pa.Table) -> str | None:
    """The categories that mix them, e.g. `steel (3 of 40 images), wood (…)`; None where none does.

    Args:
        inspected: images: `category`, `deep` (whether of more than 8 bits) and `error`, null where usable.
    """
    usable = inspected.filter(pc.is_null(inspected["error"])).select(["category", "deep"])
    counts: dict[str, dict[bool, int]] = {}
    for row in usable.group_by(["category", "deep"]).aggregate([([], "count_all")]).to_pylist():
        counts.setdefault(row["category"], {})[bool(row["deep"])] = row["count_all"]
    told = [
        f"{category} ({both[True]:,} of {sum(both.values()):,} images)"
        for category, both in sorted(counts.items())
        if len(both) == 2
    ]
    return first_and_count(told) if told else None


def mixed_depths_sentence(text: str, labels: str) -> str:
    """What is said of such categories.

    Args:
        text: see `mixed_depths`.
        labels: name of the stage.
    """
    return (
        f"{labels}: images of more than 8 bits are scaled to black and white, those of 8 bits stay as they "
        f"are. Here one category has both: {text}. They look unlike each other, which maps and detectors may "
        "take for a defect: save all in one depth (docs/howto/x-ray.md)."
    )
