"""The last stage: puts the finetuned detector and its pretrained parents into the model registry."""

import hashlib
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster import json_text
from cluster.progress import say
from cluster.registry import Evaluation, Provenance, Registry, file_tags, is_registered, register
from cluster.stages import Artifact, Site, Workbench, digest, ensure
from cluster.tracking import Run
from cluster.verdicts import finds_nothing
from pipelines.encoder import LICENCES, licences_text, map_licences, written_licences
from pipelines.tables import CorpusTables, LabelRow
from training.export.model_names import model_name
from training.starts import BACKBONE_FILE, WEIGHTS_FILE
from training.weights import load_weights

ALIAS = "candidate"
MODEL_FILE = "model.json"
METRICS = ("map50", "map50_95")
VERDICT = "verdict"  # tag of a version that finds nothing
# Stages whose weights are models of their own, nearest to the images first.
PARENTS = {"backbone": BACKBONE_FILE, "detector": WEIGHTS_FILE}


@dataclass(frozen=True)
class _Entered:
    """One model to register."""

    stage: str
    artifact: Artifact
    file: str
    description: str


def register_detector(
    project: str,
    *,
    site: Site,
    detector_name: str,
    finetuned: Artifact,
    evaluated: Artifact,
    ancestors: Mapping[str, Artifact],
) -> Artifact:
    """Register a finetuned detector as `PROJECT-finetune-ARCHITECTURE`, alias `candidate`.

    The pretrained backbone and detector that it came from, if any, are registered before it as
    `PROJECT-backbone-…` and `PROJECT-detector-…`. Each version's files are the weights and `model.json`, the
    config of every stage behind it.

    Args:
        project: the project's name, also that of the evaluation's dataset.
        detector_name: the architecture.
        finetuned, evaluated: artifacts of the detector and of its figures.
        ancestors: earlier stages by name, `labels` or `corpus` among them; those it was really made of go
            into its lineage.
    """
    name = model_name(project, "finetune", detector_name)
    made_of = behind(finetuned, ancestors)

    def body(bench: Workbench) -> Mapping[str, Any]:
        figures = _figures(evaluated)
        bench.run.log_metrics(figures)
        start = str(finetuned.results["start"])
        parents: dict[str, str] = {}
        for stage, file in PARENTS.items():
            if stage in made_of:
                what = f"{detector_name} {stage} pretrained for {project}"
                entry = _Entered(stage, made_of[stage], file, what)
                parent = model_name(project, stage, detector_name)
                number = _register(bench.run, parent, entry, ancestors, _nearest(parents), {})
                parents[stage] = f"{parent}@{number}"
        what = f"{detector_name} finetuned from {start} for {project}"
        judged_on = ancestors["labels"] if "labels" in ancestors else ancestors["corpus"]
        evaluation = evaluation_of(project, judged_on, evaluated)
        more = {
            "start": start,
            "classes": ", ".join(finetuned.results["class_names"]),
            **{key: f"{value:.4f}" for key, value in figures.items()},
            **evaluation.tags(),
        }
        verdict = finds_nothing(METRICS[0], figures[METRICS[0]], project)
        if verdict is not None:
            more[VERDICT] = verdict.sentence
        entry = _Entered("finetune", finetuned, WEIGHTS_FILE, what)
        version = _register(bench.run, name, entry, ancestors, _nearest(parents), more)
        if verdict is not None:
            say(f"register: {name}@{version} {verdict.sentence}.")
        told = [verdict.document()] if verdict is not None else []
        return {
            "name": name,
            "version": version,
            "alias": ALIAS,
            "start": start,
            "parents": parents,
            "verdicts": told,
        }

    def stands(results: Mapping[str, Any]) -> bool:
        """Whether this registry has the versions: tracking may be another by now, or its files damaged."""
        made = {f"{name}@{results['version']}": finetuned.fingerprint} | {
            str(parent): made_of[stage].fingerprint for stage, parent in results["parents"].items()
        }
        tracker = site.run.tracker
        return all(is_registered(tracker, one, fingerprint) for one, fingerprint in made.items())

    done = ensure(
        "register",
        site=site,
        config={"name": name},
        inputs={"finetuned": finetuned, "evaluated": evaluated, **ancestors},
        revision=4,  # parents, evaluations, digests; verdicts; licences
        stands=stands,
        body=body,
    )
    if done.reused:
        aliases = {row.name: row.aliases for row in Registry.open(site.run.tracker).models}[name]
        if aliases.get(ALIAS) != done.results["version"]:
            say(
                f"register: {name}@{ALIAS} points at {aliases.get(ALIAS, 'none')} by now, and this detector "
                f"is version {done.results['version']}; agssp models promote … --to {ALIAS} moves it."
            )
    return done


def behind(artifact: Artifact, known: Mapping[str, Artifact]) -> dict[str, Artifact]:
    """The stages that an artifact was made of, directly or not.

    Args:
        artifact: the artifact; its record names its inputs.
        known: stages by name, in order; the result keeps those behind the artifact.
    """
    by_identity = {other.identity: other for other in known.values()}
    identities: set[str] = set()
    waiting = list(artifact.input_identities)
    while waiting:
        identity = waiting.pop()
        if identity in by_identity and identity not in identities:
            identities.add(identity)
            waiting += by_identity[identity].input_identities
    return {name: other for name, other in known.items() if other.identity in identities}


def provenance_of(
    artifact: Artifact, made_of: Mapping[str, Artifact], parents: Mapping[str, str]
) -> Provenance:
    """What made an artifact, from the records of the stages behind it."""
    maps, boxes = made_of.get("maps"), made_of.get("boxes")
    chain = {**made_of, artifact.stage: artifact}
    seeds = {stage: seed for stage, each in chain.items() if (seed := _seed(each)) is not None}
    return Provenance(
        corpus=made_of["corpus"].fingerprint if "corpus" in made_of else None,
        prompts=maps.record["extra"].get("prompts") if maps else None,
        thresholds=boxes.results["thresholds"] if boxes else {},
        parents=parents,
        code_version=code_of(artifact),
        seeds=seeds,
    )


def code_of(artifact: Artifact) -> str:
    """Version of the code that made an artifact."""
    versions = artifact.record["versions"]
    return str(versions.get("code", versions["agssp"]))


def evaluation_of(dataset: str, corpus: Artifact, evaluated: Artifact) -> Evaluation:
    """The figures on a corpus' held-out images; their digest covers every image and label of that split."""
    tables = CorpusTables(corpus.directory)
    labels = tables.labels()
    ids = sorted(tables.held_out() & set(labels))
    return Evaluation(
        dataset=dataset,
        digest=labels_digest(labels, ids),
        images=len(ids),
        metrics=_figures(evaluated),
    )


def labels_digest(labels: Mapping[str, LabelRow], image_ids: Sequence[str]) -> str:
    """Digest of images and what is labelled in them, wherever they lie.

    Args:
        labels: image_id → what is known of it.
        image_ids: the images, sorted.
    """
    return digest([_judged_by(image, labels[image]) for image in image_ids])


def _figures(evaluated: Artifact) -> dict[str, float]:
    """The figures that are registered; NaN where there was nothing to measure."""
    values = {key: evaluated.results[key] for key in METRICS}
    return {key: math.nan if value is None else float(value) for key, value in values.items()}


def _judged_by(image_id: str, label: LabelRow) -> list[object]:
    """What decides an image's part in the figures; without ignored regions as before they were kept."""
    return [image_id, label["boxes"], *([label["ignored"]] if label["ignored"] else [])]


def _register(
    run: Run,
    name: str,
    entry: _Entered,
    ancestors: Mapping[str, Artifact],
    parents: Mapping[str, str],
    more: Mapping[str, str],
) -> int:
    """Log and register the files of one model; returns the version's number."""
    artifact = entry.artifact
    made_of = behind(artifact, ancestors)
    provenance = provenance_of(artifact, made_of, parents)
    digests, licences = _log_files(run, entry, made_of, provenance)
    other_code = {
        f"{stage}.code_version": code_of(each)
        for stage, each in made_of.items()
        if code_of(each) != provenance.code_version
    }
    tags = {
        "fingerprint": artifact.fingerprint,
        "run_id": str(artifact.record["mlflow_run_id"]),
        **{stage: each.fingerprint for stage, each in made_of.items()},
        **({"encoder": made_of["maps"].record["extra"]["encoder"]} if "maps" in made_of else {}),
        **{f"{key}_digest": str(value) for key, value in artifact.record["extra"].items()},
        **other_code,
        **provenance.tags(),
        **file_tags(digests),
        LICENCES: licences_text(licences) or "none: trained from nothing",
        **more,
    }
    return register(run, name=name, folder=entry.stage, tags=tags, alias=ALIAS, description=entry.description)


def _log_files(
    run: Run, entry: _Entered, made_of: Mapping[str, Artifact], provenance: Provenance
) -> tuple[dict[str, str], dict[str, str]]:
    """Log weights and `model.json` to the run; returns sha256 (hex) by file name, and licences."""
    with entry.artifact.directory.local_copy(entry.file) as weights:
        licences = written_licences(load_weights(weights)[1], entry.stage)
    if "maps" in made_of:
        licences |= map_licences(made_of["maps"].record)
    document = {
        "description": entry.description,
        LICENCES: licences,
        "provenance": replace(provenance, thresholds=dict(provenance.thresholds)).document(),
        "stages": {
            stage: {
                key: each.record[key] for key in ("fingerprint", "config", "extra", "versions", "results")
            }
            for stage, each in {**made_of, entry.artifact.stage: entry.artifact}.items()
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        described = Path(folder) / MODEL_FILE
        described.write_text(json_text.dumps(document, indent=2) + "\n", encoding="utf-8")
        with entry.artifact.directory.local_copy(entry.file) as weights:
            digests = {}
            for path in (weights, described):
                run.log_file(path, entry.stage)
                with path.open("rb") as file:
                    digests[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests, licences


def _nearest(parents: Mapping[str, str]) -> dict[str, str]:
    """The last parent: the pretrained detector for a finetuned one, the backbone for a pretrained one."""
    return dict(list(parents.items())[-1:])


def _seed(artifact: Artifact) -> int | None:
    config = artifact.record["config"]
    loop = config.get("loop")
    seed = loop.get("seed") if isinstance(loop, Mapping) else config.get("seed")
    return seed if isinstance(seed, int) else None
