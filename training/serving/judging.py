"""Whether a registered version may take the place of the one that is served, by the registry's figures."""

from cluster.registry import ModelVersion
from cluster.verdicts import finds_nothing


def objection(new: ModelVersion, served: ModelVersion, metric: str) -> str | None:
    """Why the served version should stay; None where nothing speaks against the new one.

    Args:
        new, served: two versions of a model, with their evaluations.
        metric: the deciding figure; larger is better.
    """
    for name, evaluation in new.evaluations.items():
        if metric in evaluation.metrics:
            nothing = finds_nothing(metric, evaluation.metrics[metric], name)
            if nothing is not None:
                return f"it {nothing.sentence}"
    for name, theirs, mine in _shared(new, served, metric):
        if theirs > mine:
            return f"it is worse than {served.reference}: {metric} {mine:.4f} on {name} against {theirs:.4f}"
    return None


def grounds(new: ModelVersion, served: ModelVersion, metric: str) -> str:
    """On what a version without objections was taken."""
    shared = _shared(new, served, metric)
    if not shared:
        return f"the alias means it; it has no {metric} on the same images as {served.reference}"
    return ", ".join(f"{metric} {mine:.4f} on {name} after {theirs:.4f}" for name, theirs, mine in shared)


def _shared(new: ModelVersion, served: ModelVersion, metric: str) -> list[tuple[str, float, float]]:
    """Data set and figures of `served` and `new`, where both were measured on the same images."""
    mine = {entry.digest: entry for entry in new.evaluations.values()}
    return [
        (entry.dataset, entry.metrics[metric], mine[entry.digest].metrics[metric])
        for entry in served.evaluations.values()
        if metric in entry.metrics and entry.digest in mine and metric in mine[entry.digest].metrics
    ]
