"""The second half of a round: the labels that came back, the candidate, and which version is in use then."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.errors import UserError
from cluster.registry import ModelVersion, Registry, promote
from cluster.stages import Artifact
from training.active_learning import (
    ASKED,
    DECISION,
    LABELS,
    Round,
    compare_versions,
    keep_labels,
    named,
    now,
    points,
    share,
)
from training.export import register_detector
from training.improving.despite import MISSING, MOVED
from training.improving.sight import Sight
from training.pipeline import Pipeline
from training.starts import AGBP, AGSSP

SHOWN = 3


def take_back(sight: Sight, one: Round) -> Round:
    """Read what is labelled by now; it counts once no image is missing, or those that are may be.

    Args:
        sight: the call.
        one: the round that asked.

    Returns:
        The round, with `LABELS` where they count.

    Raises:
        UserError: see `read_returned`.
    """
    if not keep_labels(Path(one.record[ASKED]["kept"]).parent):
        return one
    back = sight.returned(one)
    one = one.noted(
        back={
            "labelled": len(back.labelled),
            "boxes": back.boxes,
            "normal": back.normal,
            "missing": len(back.missing),
            "first_missing": list(back.missing[:SHOWN]),
        }
    )
    if not back.labelled or (back.missing and MISSING not in sight.despite):
        return one
    stages = {**one.record["stages"], "returned": named(back.artifact)}
    labels = {"digest": back.digest, "at": now(), "images": list(back.labelled)}
    return one.noted(**{LABELS: labels}, stages=stages, despite_missing=bool(back.missing))


def decide(sight: Sight, done: Sequence[Round], one: Round) -> None:
    """Finetune on all labels, compare with the version in use, promote or keep.

    Args:
        sight: the call.
        done: the rounds before.
        one: the round, with its labels.

    Raises:
        UserError: others moved the alias meanwhile; what `finetune`, `certify` and `promote` refuse.
    """
    section, site = sight.project.active_learning, sight.pipeline.site
    one, promoted_already = against(sight, one)
    labelled = sight.labels([*done, one])
    version = Registry.open(sight.tracker).version(one.record["model"])
    sight.refuse_incomparable(version, labelled)
    finetuned, candidate = _candidate(sight, version, labelled)
    learnt = {key: finetuned.results[key] for key in ("start", "train_images", "train_boxes")}
    stages = {**one.record["stages"], "labels": named(labelled), "finetune": named(finetuned)}
    one = one.noted(candidate=candidate, learnt=learnt, stages=stages)
    with sight.opened(version) as source:
        compared = compare_versions(
            section,
            sight.project.evaluate,
            seed=sight.project.seed,
            site=site,
            labelled=labelled,
            in_use=source,
            candidate=finetuned,
        )
    result = dict(compared.results)
    better = result["difference"] > 0 and result["p"] <= section.false_promotions
    if better and not promoted_already:
        registry = Registry.open(sight.tracker)
        promote(
            sight.tracker,
            registry,
            registry.version(candidate),
            dataset=sight.project.name,
            metric=section.metric,
            alias=section.alias,
            instead_of=version.version,
        )
    decision = {
        "promoted": better or promoted_already,
        "why": decision_sentence(
            result, version.reference, candidate, section.false_promotions, promoted_already
        ),
        "at": now(),
    }
    one.noted(**{"compared": result, DECISION: decision}, stages={**stages, "compare": named(compared)})


def against(sight: Sight, one: Round) -> tuple[Round, bool]:
    """The round with the version to compare with, and whether its candidate is in use already.

    The latter where a call was killed between the promotion and its record, or others promoted it.

    Args:
        sight: the call.
        one: the round.

    Raises:
        UserError: the alias points at another version.
    """
    holder, alias = sight.in_use(), sight.project.active_learning.alias
    if holder.reference == one.record["model"]:
        return one, False
    if holder.reference == one.record.get("candidate"):
        return one, True
    if MOVED not in sight.despite:
        raise UserError(
            f"{holder.name}@{alias} points at version {holder.version} by now, and round {one.number} began "
            f"with {one.record['model']}; point it back, or compare with the new one by --despite moved."
        )
    return one.noted(was=one.record["model"], model=holder.reference), False


def _candidate(sight: Sight, version: ModelVersion, labelled: Artifact) -> tuple[Artifact, str]:
    """The detector finetuned on all labels from the start of the version in use, and its `NAME@VERSION`."""
    project, start = sight.project, version.tags["start"]
    grown = Pipeline(project, sight.pipeline.site, labelled)
    finetuned, evaluated = grown.finetuned(start), grown.evaluated(start)
    behind = grown.sources(start) if start in (AGBP, AGSSP) else {}
    registered = register_detector(
        project.name,
        site=sight.pipeline.site,
        detector_name=project.finetune.name,
        finetuned=finetuned,
        evaluated=evaluated,
        ancestors={**behind, "corpus": sight.pipeline.corpus, "labels": labelled},
    ).results
    return finetuned, f"{registered['name']}@{registered['version']}"


def decision_sentence(
    result: Mapping[str, Any], model: str, candidate: str, limit: float, in_use: bool = False
) -> str:
    """The decision and why.

    Args:
        result: results of `compare_versions`.
        model, candidate: `NAME@VERSION` of the version in use and of the candidate.
        limit: most p for a promotion.
        in_use: whether the candidate is in use already.
    """
    figures = (
        f"{result['metric']} {share(result['candidate'])} % against {share(result['in_use'])} % on "
        f"{result['images']} held-out images, {points(result)} points, p {result['p']:.3g}"
    )
    if in_use and (result["difference"] <= 0 or result["p"] > limit):
        return (
            f"{candidate} is in use by others' promotion; it is not proved better than {model} ({figures})."
        )
    if result["difference"] <= 0:
        return f"{model} stays, as {candidate} is no better ({figures})."
    if result["p"] > limit:
        return f"{model} stays, as {candidate} is not proved better ({figures}; {limit:g} or less is needed)."
    return f"{candidate} is promoted, as it is better than {model} ({figures}; {limit:g} or less is needed)."
