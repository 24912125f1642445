"""The rules and settings that an audit tries."""

from collections.abc import Iterator
from itertools import product
from typing import Any

from cluster.config import merge
from pipelines.boxes import PseudoBoxSettings

RULES = ("paper", "standardised", "hysteresis")
PAPER = {"c": (0.0, 0.1, 0.2, 0.3, 0.5), "top_k": (3, 10)}
STANDARDISED = {"cut": (1.0, 1.5, 2.0, 2.5, 3.0), "most_regions": (1, 3), "least_share": (0.0, 0.02)}
CUTS = ((1.0, 2.0), (1.0, 3.0), (1.5, 2.5), (1.5, 3.0), (2.0, 3.0), (2.0, 4.0))
HYSTERESIS = {"cuts": CUTS, "most_regions": (1, 3)}
LEADING = ("c", "cut", "low", "high")  # settings that are shown even where they are the default
NO_DELTA = 0.0  # every image may have boxes
PROBABLE = (0.7, 0.8, 0.9, 0.95)  # δ of the paper's rule, where scores are probabilities


def candidates(own: PseudoBoxSettings, *, probabilities: bool = False) -> tuple[PseudoBoxSettings, ...]:
    """Rules × settings, each once; those of the user come first, the chosen rule's before the others'.

    Every combination is tried with the user's δ and without one: whether most images have a defect is for the
    user's images to say, not for the painted ones.

    Args:
        own: the user's settings; what no grid names is theirs.
        probabilities: whether an image's score is a probability, so that numbers mean the same for all
            images and may be δ.
    """
    rules = sorted(RULES, key=lambda rule: rule != own.rule)
    documents: list[dict[str, Any]] = [{"rule": rule} for rule in rules]
    documents += [{"rule": "paper", **values} for values in _grid(PAPER)]
    documents += [{"rule": "standardised", "standardised": values} for values in _grid(STANDARDISED)]
    for values in _grid(HYSTERESIS):
        low, high = values.pop("cuts")
        documents.append({"rule": "hysteresis", "hysteresis": {"low": low, "high": high, **values}})
    deltas = dict.fromkeys((own.delta, NO_DELTA))
    tried = [{**each, "delta": delta} for delta in deltas for each in documents]
    if probabilities:
        of_paper = [each for each in documents if each["rule"] == "paper"]
        tried += [{**each, "delta": delta} for delta in PROBABLE for each in of_paper]
    return tuple(dict.fromkeys(_laid(own, each) for each in tried))


def words(settings: PseudoBoxSettings) -> str:
    """A candidate as one would write it below `boxes`: `rule=paper c=0.3 delta=auto`."""
    default = PseudoBoxSettings()
    if settings.rule == "paper":
        shown = {name: getattr(settings, name) for name in ("c", "top_k", "min_area")}
        usual = {name: getattr(default, name) for name in shown}
    else:
        shown, usual = (getattr(each, settings.rule).model_dump() for each in (settings, default))
    named = {name: value for name, value in shown.items() if name in LEADING or value != usual[name]}
    named = dict(sorted(named.items(), key=lambda item: item[0] not in LEADING))
    parts = {"rule": settings.rule, **named, "delta": settings.delta}
    return " ".join(f"{name}={_word(value)}" for name, value in parts.items())


def settings_words(text: str) -> str:
    """`words` of the table's column `settings`."""
    return words(PseudoBoxSettings.model_validate_json(text))


def _laid(own: PseudoBoxSettings, document: dict[str, Any]) -> PseudoBoxSettings:
    """A candidate over the user's settings, without those that its rule doesn't read."""
    rule = document["rule"]
    kept: dict[str, Any] = {"nms_iou": own.nms_iou}
    if rule == "paper":
        kept |= {"c": own.c, "top_k": own.top_k, "min_area": own.min_area}
    else:
        kept[rule] = getattr(own, rule).model_dump()
    return PseudoBoxSettings.model_validate(merge(kept, document))


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _grid(space: dict[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    for values in product(*space.values()):
        yield dict(zip(space, values, strict=True))
