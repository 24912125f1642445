"""The benchmark `box_audit`: how well an audit on painted defects foretells what labels say of each rule."""

from collections.abc import Iterator

from benchmarks.box_rules.choice import IOU, SPACES, f1, quality, settings_of
from benchmarks.box_rules.labelled_maps import halves_of, real_project, workspace
from benchmarks.box_rules.measure import SHOTS
from benchmarks.registry import SHARED_DATA, Row
from cluster.progress import say
from cluster.stages import Artifact
from pipelines.audit import AUDIT_FILE, settings_words
from pipelines.boxes import CHOICE_FILE, PseudoBoxSettings
from training.opening import open_pipeline

GOAL = 0.7


def run() -> Iterator[Row]:
    """Spearman's correlation of audited and true F1 over rules × settings on the first half of each set.

    Then F1 on the other half, which had no part in anything: by what the audit chose, and by every rule's
    defaults. No box that a person drew is read for the choice; of the tiles it reads which are normal.
    """
    for name, shots in SHOTS.items():
        if not (SHARED_DATA / name).is_dir():
            yield Row(f"{name}: audit", None, f"skipped, {SHARED_DATA / name} is absent")
            continue
        with open_pipeline(real_project(workspace(), name, shots), "box audit", "maps") as pipeline:
            audit = pipeline.audit
            judged = halves_of(pipeline.corpus, pipeline.maps)["test"]
        rows = audit.directory.read_table(AUDIT_FILE).to_pylist()
        yield Row(f"{name}: painted images", audit.results["painted"])
        for told in audit.results["agreement"].values():
            rank = told["spearman"]
            goal = f">= {GOAL}"
            yield Row(f"{name}: Spearman over {audit.results['rules']} settings", rank, goal, rank >= GOAL)
            yield Row(f"{name}: the same of two halves of the labels", told["labels_agree"])
            yield Row(f"{name}: true F1 of the chosen, first half, percent", told["true_f1"] * 100)
            yield Row(f"{name}: true F1 of the best, first half, percent", told["best_true_f1"] * 100)
        for way, settings in ways_of(name, audit).items():
            reached = quality(settings, judged)
            yield Row(f"{name}, {way}: F1 at IoU {IOU:g} on the other half, percent", f1(reached) * 100)
        best = max((row for row in rows if row["part"] == "all"), key=lambda row: row["true_f1"] or 0.0)
        say(f"{name}: by its labels the best is {settings_words(best['settings'])}")


def ways_of(name: str, audit: Artifact) -> dict[str, PseudoBoxSettings]:
    """Every rule's defaults, and `auto`, what an audit chose; its sentence is said.

    Args:
        name: name of the data set, of one category.
        audit: the audit stage's artifact.
    """
    ways = {f"{rule}, defaults": settings_of(rule, {}) for rule in SPACES}
    for choice in audit.directory.read_json(CHOICE_FILE).values():
        say(f"{name}: {choice['sentence']}")
        if choice["settings"] is not None:
            ways["auto"] = PseudoBoxSettings.model_validate(choice["settings"])
    return ways
