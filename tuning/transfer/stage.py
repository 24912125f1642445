"""The `transfer` stage: one training of a start, regime and seed, measured along the way."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cluster.errors import UserError
from cluster.stages import Artifact, Workbench, ensure
from pipelines.images import Levels
from training.dense import (
    METRIC,
    Colours,
    DensePlan,
    DenseSample,
    DenseTask,
    Regime,
    build_dense_task,
    check_adaptable,
    dense_samples,
    merged,
    save_dense,
    started_dense,
)
from training.detection import shuffled, with_backgrounds
from training.loop import HISTORY_FILE, TrainingSite, trained
from training.starts import Start, report_json
from tuning.transfer.objects import COLOURS_FILE, OBJECTS_FILE
from tuning.transfer.section import TransferSection

MODEL_FILE = "model.safetensors"


def dataset_look(objects: Artifact) -> tuple[Levels | None, Colours, float]:
    """Levels, colours and saturation of a data set's training images."""
    look = objects.directory.read_json(COLOURS_FILE)
    levels = None if look["levels"] is None else (look["levels"][0], look["levels"][1])
    return levels, (tuple(look["mean"]), tuple(look["std"])), look["saturation"]


def chosen_samples(
    section: TransferSection, task: DenseTask, objects: Artifact
) -> tuple[tuple[str, ...], list[DenseSample], list[DenseSample]]:
    """Classes, images to learn from, images to measure on; the same for every start, regime and seed.

    Raises:
        UserError: a split has no object, or none with a mask where the task needs masks.
    """
    rows = objects.directory.read_table(OBJECTS_FILE).to_pylist()
    masks = task != "detection"
    names = {one["label"] for row in rows if row["split"] == "train" for one in row["objects"]}
    rows = [row for row in rows if all(one["label"] in names for one in row["objects"])]
    classes = tuple(sorted(names))
    sides = []
    for split, limit in (("train", section.train_limit), ("test", section.test_limit)):
        samples = dense_samples([row for row in rows if row["split"] == split], classes, masks=masks)
        boxed = shuffled((sample for sample in samples if sample.objects), 0)[:limit]
        if not any(sample.boxed for sample in boxed):
            what = "object with a pixel mask" if masks else "object"
            remedy = "leave the task out of transfer.tasks" if masks else "label more of its images"
            raise UserError(
                f"The data set's {split} split has no {what}, which the task {task} needs; {remedy}."
            )
        normal = [sample for sample in samples if not sample.objects]
        sides.append(with_backgrounds(boxed, normal, section.background_share, 0))
    return classes, sides[0], sides[1]


class TransferCell(NamedTuple):
    """One training of a study.

    Attributes:
        task: kind of task.
        start: name of the start.
        regime: how much of the backbone learns.
        seed: seed of head, crops and order.
    """

    task: DenseTask
    start: str
    regime: Regime
    seed: int


def transfer(
    section: TransferSection,
    cell: TransferCell,
    *,
    start: Start | None,
    objects: Artifact,
    site: TrainingSite,
) -> Artifact:
    """Train from one start; images, crops, head and schedule are the same for every start.

    Writes `model.safetensors` and `history.parquet`; the rows with a metric make the curve. The last epoch is
    judged, so the test split decides nothing.

    Args:
        section: settings of the study.
        cell: training to run.
        start: first weights; None trains from scratch.
        objects: artifact of `list_objects`.
        site: workspace, tracking run and workers.

    Raises:
        UserError: there is nothing to learn or measure, the backbone has nothing that the regime adapts, or
            the weights are of another architecture.
    """
    task, start_name, regime, seed = cell
    scaling = site.scaling
    model_name = section.model(task, section.starts[start_name])
    settings = section.settings(regime, seed)
    decides = {"crop", "augment", "levels", "normalise", "train_limit", "test_limit", "background_share"}

    def body(bench: Workbench) -> Mapping[str, Any]:
        classes, train, held_out = chosen_samples(section, task, objects)
        levels, colours, _ = dataset_look(objects)
        side = section.crop.side
        model, report = started_dense(
            task,
            model_name,
            classes,
            side,
            colours if section.normalise == "dataset" else None,
            seed,
            start,
        )
        check_adaptable(model, regime, section.lora)
        lineage = {"objects": objects.fingerprint} | ({} if start is None else {"weights": start.digest})
        plan = DensePlan(
            task=task,
            directory=bench.directory,
            regime=regime,
            lora=section.lora,
            probe_epochs=section.probe_epochs if regime == "linear_then_full" else 0,
            train=tuple(train),
            held_out=tuple(held_out),
            crop=section.crop,
            augment=section.augment,
            levels=levels,
            epochs=settings.epochs,
            seed=seed,
        )
        result = trained(
            build_dense_task,
            plan,
            settings,
            bench=bench,
            scaling=scaling,
            title=f"{task} from {start_name}, {regime}, seed {seed}",
            weights_file=MODEL_FILE,
            save=lambda name: save_dense(task, model, side, bench.directory, name, lineage),
            load=lambda state: model.load_state_dict(merged(state)),
        )
        figures = {key: value for row in result.history for key, value in row.items()}
        return {
            "task": task,
            "start": start_name,
            "regime": regime,
            "seed": seed,
            "score": figures.get(METRIC[task]),
            "figures": _measured(figures),
            "iterations": figures["step"],
            "images": len(train),
            "test_images": len(held_out),
            "class_names": list(classes),
            "training_seconds": round(result.seconds, 3),
            "transfer": None if report is None else report_json(report),
        }

    return ensure(
        "transfer",
        site=site,
        config={
            "task": task,
            "model": model_name,
            "regime": regime,
            "start": start_name,
            "loop": settings.model_dump(mode="json"),
            **section.model_dump(mode="json", include=decides),
            **section.of_regime(regime),
        },
        inputs={"objects": objects},
        extra={} if start is None else {"weights": start.digest},
        body=body,
        # Boxes outside the image take no place among the best; maps of classes have none.
        revision=1 if task == "semantic" else 2,
    )


def _measured(figures: Mapping[str, float]) -> dict[str, float]:
    kinds = ("miou", "iou_", "map", "mask_map")
    return {key: value for key, value in figures.items() if key.startswith(kinds)}


def curve_of(artifact: Artifact, task: DenseTask) -> list[tuple[int, float]]:
    """Iteration and score of every measurement of a training."""
    table = artifact.directory.read_table(HISTORY_FILE)
    if METRIC[task] not in table.column_names:
        return []
    rows: Sequence[Mapping[str, Any]] = table.select(["step", METRIC[task]]).to_pylist()
    return [(int(row["step"]), float(row[METRIC[task]])) for row in rows if row[METRIC[task]] is not None]
