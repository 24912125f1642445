"""The report stage: gathers the other stages' results and renders one HTML file."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import cv2
import numpy as np

from cluster.stages import Artifact, Site, Workbench, ensure
from cluster.verdicts import StartFigures, behind_another
from pipelines.audit import AUDIT_FILE, settings_words, shown_rows
from pipelines.painting import SHEET_FILE
from pipelines.tables import CorpusTables, has_defect
from training.agbp import ATTENTION_FILE
from training.pictures import Picture
from training.report.artifacts import RunArtifacts
from training.report.cases_sheet import cases_sheet
from training.report.data import (
    AuditRow,
    CategoryScores,
    MapQuality,
    QuarantineRow,
    RegisteredModel,
    ReportData,
    StageRow,
    StartRow,
    ThresholdRow,
    TrainingCurve,
)
from training.report.figures import detector_figures
from training.report.lead import lead_interval
from training.report.page import headline, render
from training.report.samples import examples, gallery
from training.report.section import ReportSection

FILE, CASES_FILE = "report.html", "cases.png"
SHOWN_QUARANTINE = 200


def write_report(
    section: ReportSection,
    *,
    title: str,
    config: Mapping[str, Any],
    site: Site,
    made: RunArtifacts,
) -> Artifact:
    """Write `report.html` and, where two starts differ, `cases.png` (see `cases_sheet`).

    The table of starts is among the results.

    Args:
        section: the config of what to show.
        title: the project's name.
        config: the project's config as the report shows it.
        site: workspace and tracking run.
        made: artifacts of the stages that it covers.
    """
    pretraining, starts, registered = made.pretraining, made.starts, made.registered
    labelled = pretraining.labelled
    table = [_start_row(start, outcome.finetuned, outcome.evaluated) for start, outcome in starts.items()]
    everything = {**pretraining.named(), "register": registered, **made.of_starts()}

    def body(bench: Workbench) -> Mapping[str, Any]:
        first = next(iter(starts.values())).evaluated.results
        evaluated = {start: outcome.evaluated for start, outcome in starts.items()}
        figures = [StartFigures(row.start, row.map50_95, row.map50) for row in table]
        lead = lead_interval(figures, evaluated, labelled)
        told = headline(table, first["images"], first["boxes"], lead)
        behind = behind_another(figures, registered.results["start"])
        verdicts = [*registered.results["verdicts"], *([behind.document()] if behind else [])]
        corpus, maps, boxes = pretraining.corpus, pretraining.maps, pretraining.boxes
        gallery_items = gallery(corpus, maps, boxes, section.gallery) if maps and boxes else []
        drawn = examples(labelled, starts, section.examples, section.min_score)
        sheet = cases_sheet(labelled, starts, section.cases, section.min_score)
        quarantine = [
            QuarantineRow(row["uri"], row["stage"], row["reason"])
            for artifact in (corpus, maps, pretraining.painted, labelled if labelled is not corpus else None)
            if artifact is not None
            for row in artifact.directory.read_table("quarantine.parquet").to_pylist()
        ]
        data = ReportData(
            title=title,
            created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            workspace=site.workspace.uri,
            config=config,
            versions=corpus.record["versions"],
            stages=[
                StageRow(name, float(artifact.record["seconds"]), artifact.reused, _counts(artifact))
                for name, artifact in everything.items()
            ],
            gallery=gallery_items,
            thresholds=_thresholds(boxes) if boxes else [],
            audit=_audit(pretraining.audit),
            scores=_scores(corpus, maps, boxes) if maps and boxes else [],
            map_quality=[_map_quality(pretraining.map_quality, maps)]
            if maps and pretraining.map_quality
            else [],
            painted=_sheet(pretraining.painted, SHEET_FILE),
            attention=_sheet(pretraining.backbone, ATTENTION_FILE),
            curves=_curves(made),
            starts=table,
            held_out=first["images"],
            test_boxes=first["boxes"],
            lead=lead,
            examples=drawn,
            cases=sheet,
            quarantine=quarantine[:SHOWN_QUARANTINE],
            quarantined=len(quarantine),
            model=_model(registered, verdicts),
        )
        bench.directory.write(FILE, render(data).encode())
        with bench.directory.local_copy(FILE) as path:
            bench.run.log_file(path)
        if sheet is not None and sheet.picture is not None:
            _, encoded = cv2.imencode(".png", sheet.picture[..., ::-1])
            bench.directory.write(CASES_FILE, encoded.tobytes())
            bench.run.log_picture(sheet.picture, CASES_FILE)
        for number, item in enumerate(gallery_items):
            bench.run.log_picture(item.image, f"gallery/{number:02d}.png")
        for example in drawn:
            bench.run.log_picture(example.picture, f"detections/{example.start}-{example.name}.png")
        return {
            "table": [_row_json(row) for row in table],
            "headline": {**asdict(told), "interval": lead},
            "verdicts": verdicts,
            "quarantined": len(quarantine),
        }

    return ensure(
        "report",
        site=site,
        config={"section": section.model_dump(mode="json"), "title": title, "config": dict(config)},
        # Curves, confusion, cost; verdicts, also on the model; the interval of the lead; thin masks shown;
        # good and bad cases; no claim on few images; painted images.
        revision=7,
        inputs=everything,
        body=body,
    )


def _start_row(start: str, finetuned: Artifact, evaluated: Artifact) -> StartRow:
    results = evaluated.results
    classes = {name: row["map50_95"] if row else None for name, row in results["classes"].items()}
    transfer = finetuned.results["transfer"]
    filled = None
    if transfer is not None:
        parts = transfer["parts"].values()
        # The share is of the whole model, as parts that were not asked for were not filled.
        filled = sum(part["parameters"] for part in parts) / results["parameters"]
    seconds = float(finetuned.results["training_seconds"])
    figures = detector_figures(evaluated)
    return StartRow(start, results["map50"], results["map50_95"], classes, filled, seconds, figures)


def _row_json(row: StartRow) -> dict[str, Any]:
    return {
        "start": row.start,
        "map50": row.map50,
        "map50_95": row.map50_95,
        "classes": dict(row.classes),
        "transferred": row.transferred,
        "training_seconds": row.seconds,
    }


def _counts(artifact: Artifact) -> dict[str, Any]:
    return {name: value for name, value in artifact.results.items() if isinstance(value, int | float | str)}


def _thresholds(boxes: Artifact) -> list[ThresholdRow]:
    rows = boxes.directory.read_table("thresholds.parquet").to_pylist()
    return [ThresholdRow(row["category"], row["images"], row["mean_max"], row["threshold"]) for row in rows]


def _audit(audit: Artifact | None) -> list[AuditRow]:
    """The rules that are shown, on everything that was painted."""
    if audit is None:
        return []
    return [
        AuditRow(
            row["category"],
            settings_words(row["settings"]),
            row["chosen"],
            row["own"],
            *(row[name] for name in ("precision", "recall", "f1", "iou", "f1_low", "f1_high")),
        )
        for row in shown_rows(audit.directory.read_table(AUDIT_FILE).to_pylist())
        if row["part"] == "all"
    ]


def _scores(corpus: Artifact, maps: Artifact, boxes: Artifact) -> list[CategoryScores]:
    """Image scores of the labelled images by truth, and δ."""
    labels = CorpusTables(corpus.directory).labels()
    truth = {image_id: has_defect(label) for image_id, label in labels.items()}
    deltas = {
        row["category"]: row["delta"] for row in boxes.directory.read_table("thresholds.parquet").to_pylist()
    }
    scores: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in deltas}
    for row in maps.directory.read_table("maps", columns=["image_id", "category", "score"]).to_pylist():
        if row["image_id"] in truth and row["category"] in scores:
            scores[row["category"]][truth[row["image_id"]]].append(row["score"])
    return [
        CategoryScores(name, normal, defective, deltas[name])
        for name, (normal, defective) in sorted(scores.items())
        if normal or defective
    ]


def _map_quality(quality: Artifact, maps: Artifact) -> MapQuality:
    config = maps.record["config"]
    shots = int(config[config["method"]]["shots"])
    results = quality.results
    return MapQuality(
        shots,
        results["image_auroc"],
        results["pixel_auroc"],
        results["aupro"],
        verdicts=[verdict["sentence"] for verdict in results["verdicts"]],
    )


def _sheet(artifact: Artifact | None, file: str) -> Picture | None:
    """The sheet that a stage drew; None where there is no such stage, or an older version drew none."""
    if artifact is None or not artifact.directory.exists(file):
        return None
    content = np.frombuffer(artifact.directory.read(file), np.uint8)
    sheet = cv2.imdecode(content, cv2.IMREAD_COLOR)
    return None if sheet is None else np.ascontiguousarray(sheet[..., ::-1], np.uint8)


def _curves(artifacts: RunArtifacts) -> list[TrainingCurve]:
    pretraining = artifacts.pretraining
    trained = {"Backbone (AGBP)": pretraining.backbone} if pretraining.backbone else {}
    trained |= {"Detector (AGDP)": pretraining.detector}
    trained |= {f"Finetuning from {start}": outcome.finetuned for start, outcome in artifacts.starts.items()}
    return [
        TrainingCurve(name, artifact.directory.read_table("history.parquet").to_pylist())
        for name, artifact in trained.items()
    ]


def _model(registered: Artifact, verdicts: Sequence[Mapping[str, str]]) -> RegisteredModel:
    results = registered.results
    lineage = {name: fingerprint[:16] for name, fingerprint in registered.record["inputs"].items()}
    sentences = [verdict["sentence"] for verdict in verdicts]
    return RegisteredModel(results["name"], int(results["version"]), results["alias"], lineage, sentences)
