"""`tune pretrain` and `tune finetune`: question, shared stages, trials, and the best one kept."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cluster.errors import UserError
from cluster.on_ray import ray_session, start_ray
from cluster.progress import say
from cluster.registry import register
from cluster.stages import Site, claimed
from cluster.storage import Storage, workspace_faults
from cluster.tracking import PipelineRun, Run, Tracker, ending
from pipelines.tables import CorpusTables
from training.agbp import held_out_count
from training.export import register_detector
from training.opening import check_project
from training.pipeline import Pipeline
from training.starts import AGBP, AGSSP
from tuning.outcomes import measured
from tuning.search.cost import Cost, estimate
from tuning.search.ledger import STUDY_FILE, Ledger, Proposals, TrialRecord, alike_sentence, best_of
from tuning.search.request import ORDER, Request, place_of
from tuning.search.schedule import Schedule, Watch
from tuning.search.trial import TrialPlan
from tuning.search.tuner import Share, cluster_size, run_trials, share_of
from tuning.space import patch_text


def plan_cost(request: Request, images: int, trials: int, share: Share) -> Cost:
    """The cost of the trials that are left, see `estimate`."""
    return estimate(
        request.project,
        request.stage,
        request.space,
        images=images,
        trials=trials,
        concurrent=share.concurrent,
        gpus=share.gpus,
    )


def run_search(request: Request, *, registers: bool, estimate_only: bool) -> dict[str, Any]:
    """Run the search, or what is left of it; the same command goes on after an interruption.

    Writes `study.json`, `trials/*.json`, `result.json` and `patch.yaml` into `tune/NAME`.

    Args:
        request: the checked request.
        registers: whether the best trial's model is registered with the alias `candidate`.
        estimate_only: whether the search stops after the estimate of its cost.

    Raises:
        UserError: see `Ledger.begin`, `share_of`; no trial gave a figure.
    """
    project = request.project
    check_project(project)
    workspace = Storage.open(project.workspace)
    directory = workspace.at("tune", request.name)
    ledger = Ledger(directory)
    if directory.exists(STUDY_FILE):
        ledger.begin(request.question())  # before anything is started
    workspace.create()
    tracker = Tracker.open(project.tracking, workspace)
    command = f"tune {'pretrain' if request.stage == 'backbone' else request.stage}"
    tags = {"agssp.project": project.name, "agssp.command": command, "agssp.search": request.name}
    with workspace_faults(workspace), ray_session(project.ray):
        with tracker.pipeline(f"{project.name}: {command}, shared stages", tags) as shared:
            images = _shared_stages(request, Pipeline(project, Site(workspace, shared)))
        start_ray()
        if estimate_only:  # writes nothing: another space may follow under the same name
            cost = _estimated(request, ledger, images)[1]
            return {
                "estimate": cost.text(),
                "hours": cost.hours,
                "gpu_hours": cost.gpu_hours,
                **_said(request),
            }
        directory.create()
        # Of two such commands the second waits, and goes on with what the first leaves to be done.
        with claimed(f"tune {request.name}", directory, lambda: False):
            result = _search(request, ledger, images, tracker, tags, registers=registers)
        tracker.deliver(None)
        return result


def _estimated(request: Request, ledger: Ledger, images: int) -> tuple[Proposals, Cost, Share]:
    """The trials that are left, what they cost, and each one's share of the cluster; both are said."""
    project = request.project
    proposals = Proposals(ledger, request.space, request.trials, project.seed, exhaustive=request.exhaustive)
    share = share_of(
        project.scaling, *cluster_size(), asked=request.concurrent, trials=max(1, proposals.left)
    )
    done = [record for record in ledger.records() if record.over]
    if done:
        say(f"{request.name}: {len(done)} trials are over already, {proposals.left} are left")
    if not request.exhaustive and proposals.trials < request.trials:
        say(f"{request.name}: the search space has no more than {proposals.trials} combinations to try")
    cost = plan_cost(request, images, proposals.left, share)
    say(f"{request.name}: {cost.text()}")
    return proposals, cost, share


def _search(
    request: Request,
    ledger: Ledger,
    images: int,
    tracker: Tracker,
    tags: Mapping[str, str],
    *,
    registers: bool,
) -> dict[str, Any]:
    """Run the trials that are left, while no other command does."""
    project, workspace = request.project, Storage.open(request.project.workspace)
    study = ledger.begin(request.question())
    _end_interrupted(ledger, tracker)
    proposals, _, share = _estimated(request, ledger, images)
    parent = _parent(study, ledger, tracker, f"{project.name}: {tags['agssp.command']}", tags)
    began, before = time.monotonic(), float(study.get("wall_seconds", 0.0))

    def wall() -> float:
        return before + time.monotonic() - began

    def spent() -> str | None:
        return request.budget.spent(wall(), ledger.records(), share.gpus)

    scaling = share.scaling.model_dump(mode="json")
    document = {**request.document, "scaling": scaling}
    plan = TrialPlan(document, request.metric, parent.id, ledger.directory, str(Path.cwd()))
    with ending(lambda: parent):
        budget_reached = run_trials(
            plan,
            proposals,
            share=share,
            schedule=Schedule(
                request.scheduler, request.grace_epochs, _max_epochs(request), request.max_failures
            ),
            watch=Watch(
                request.name,
                spent,
                on_over=lambda record: ledger.keep({**study, "wall_seconds": round(wall(), 1)}),
            ),
            tracking_uri=tracker.uri,
        )
        under = PipelineRun(tracker, "registration", {})
        under.run = parent
        site = Site(workspace, under) if registers else None
        return _finish(request, plan, parent, budget_reached, site)


def _shared_stages(request: Request, pipeline: Pipeline) -> int:
    """Make the stages that every trial reads, so that no trial waits for another.

    Returns:
        Number of images that an epoch learns from.
    """
    first = min(place_of(dimension.key) for dimension in request.space)
    start = request.project.finetune.starts[0]
    needed: tuple[str, ...] = {"backbone": ("corpus", "maps"), "finetune": ()}[request.stage]
    if request.stage == "finetune" and start in (AGBP, AGSSP):
        needed = pipeline.source_names(start)
    elif request.metric.startswith("detector") or (request.metric.startswith("finetune") and start == AGSSP):
        needed = (*needed, "boxes")
    for name in needed:
        if ORDER.index(name) < first:
            getattr(pipeline, name)
    learnt = pipeline.corpus if request.stage == "backbone" else pipeline.labelled
    tables = CorpusTables(learnt.directory)
    train = tables.pretraining()
    if request.stage == "backbone":
        return len(train) - held_out_count(len(train))
    labels = tables.boxes()
    labelled = sum(bool(labels.get(image)) for image in train)
    section = request.project.finetune
    chosen = min(labelled, section.limit or labelled)
    return max(1, round(chosen * (1 - section.validation_share) / (1 - section.background_share)))


def _end_interrupted(ledger: Ledger, tracker: Tracker) -> None:
    """End the runs of the trials that a killed search left running."""
    for record in ledger.records():
        run = None if record.run_id is None else Run(tracker.uri, record.run_id)
        if record.status == "running" and run is not None and run.is_there():
            run.end_tree("KILLED")


def _parent(
    study: dict[str, Any], ledger: Ledger, tracker: Tracker, name: str, tags: Mapping[str, str]
) -> Run:
    """The search's run: its first one, or a new one where tracking is new or has lost that."""
    if "run_id" in study and (run := Run(tracker.uri, str(study["run_id"]))).is_there():
        return run
    run = tracker.create_run(name, tags)
    study["run_id"] = run.id
    ledger.keep(study)
    return run


def _max_epochs(request: Request) -> int:
    epochs = int(getattr(request.project, request.metric.partition(".")[0]).loop.epochs)
    for dimension in request.space:
        if dimension.key.endswith(".loop.epochs"):
            epochs = max(epochs, int(max(dimension.values or (dimension.high,))))
    return epochs


def _said(request: Request) -> dict[str, Any]:
    return {
        "name": request.name,
        "metric": request.metric,
        "space": [dimension.text() for dimension in request.space],
    }


def _finish(
    request: Request, plan: TrialPlan, parent: Run, budget_reached: str | None, site: Site | None
) -> dict[str, Any]:
    """Write the search's result; the best trial's model is registered where there is a `site` for it."""
    directory = plan.directory
    records = Ledger(directory).records()
    best = best_of(records)
    if best is None:
        raise UserError(_nothing_found(request, records))
    counts = {
        status: sum(r.status == status for r in records) for status in sorted({r.status for r in records})
    }
    result: dict[str, Any] = {
        **_said(request),
        "directory": directory.uri,
        "best": asdict(best),
        "counts": counts,
        "budget_reached": budget_reached,
        "trials": [asdict(record) for record in records],
        "alike": alike_sentence(records),
        "model": None if site is None else _registered(plan, best, site),
    }
    early = f", stopped after {best.epochs} epochs as all were" if best.status == "stopped" else ""
    which = f"trial {best.number} of {len(records)}{early}"
    comment = f"Chosen by agssp tune: {request.metric} {best.value:.4f}, {which}."
    if alike := alike_sentence(records):
        say(f"{request.name}: {alike}")
        comment = f"{comment} {alike}"
    if early:
        say(f"{request.name}: no trial was trained to its end; the best is trial {best.number}{early}")
    directory.write("patch.yaml", patch_text(best.values, comment).encode())
    directory.write_json("result.json", result)
    parent.log_json(result, "result.json")
    parent.log_metrics(
        {f"best {request.metric}": best.value or 0.0, **{f"trials {k}": v for k, v in counts.items()}}
    )
    parent.set_tags({"agssp.best_trial": str(best.number), "agssp.best_run_id": str(best.run_id)})
    return result


def _nothing_found(request: Request, records: list[TrialRecord]) -> str:
    told = next((f": {record.reason.rstrip('.')}" for record in records if record.reason), "")
    remedy = (
        "the same command tries failed trials again"
        if any(not record.over for record in records)
        else "another --name begins anew"
    )
    return f"No trial of {request.name} finished with a {request.metric}{told}; {remedy}."


def _registered(plan: TrialPlan, best: TrialRecord, site: Site) -> dict[str, Any]:
    """The best trial's model in the registry, alias `candidate`: the detector, or the backbone alone.

    A trial that was stopped early is trained to its end first: half a training is no model.
    """
    project = plan.project(best.values)
    pipeline = Pipeline(project, site)
    start = project.finetune.starts[0]
    if plan.metric.startswith("finetune"):
        # Of AGSSP no figures of maps and no audit, which a whole run makes beside it.
        ancestors = pipeline.sources(start) if start == AGSSP else pipeline.ancestors(start)
        if start == AGSSP and pipeline.labelled is not pipeline.corpus:
            ancestors["labels"] = pipeline.labelled
        artifact = register_detector(
            project.name,
            site=site,
            detector_name=project.finetune.name,
            finetuned=pipeline.finetuned(start),
            evaluated=pipeline.evaluated(start),
            ancestors=ancestors,
        )
        return dict(artifact.results)
    stage = plan.metric.partition(".")[0]
    artifact = getattr(pipeline, stage)
    value = measured(plan.metric, pipeline, start)
    model = getattr(project, stage).name
    name = f"{project.name}-{stage}-{model}"
    version = register(
        Run(site.run.tracker.uri, artifact.record["mlflow_run_id"]),
        name=name,
        folder="weights",
        tags={"fingerprint": artifact.fingerprint, plan.metric: f"{value:.4f}"},
        description=f"{model}, the best of a search by {plan.metric}",
    )
    return {"name": name, "version": version, "alias": "candidate"}
