"""Which images the report shows: picked by content hash, not by how well they came out."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import chain, zip_longest
from typing import Any

from cluster.stages import Artifact
from pipelines.annotations import decode_mask
from pipelines.maps import map_rows, upsample
from pipelines.tables import CorpusTables, has_defect, sides
from training.pictures import DrawnBox, draw_boxes, read_pixels
from training.report.artifacts import StartOutcome
from training.report.data import Example, GalleryItem

NORMAL_EVERY = 4  # one of so many gallery images is normal


def gallery(corpus: Artifact, maps: Artifact, boxes: Artifact, limit: int) -> list[GalleryItem]:
    """Pretraining images of all categories in turn, three with a defect (or pseudo-boxes) to one without.

    Args:
        corpus, maps, boxes: the stages' artifacts.
        limit: most images in all.
    """
    tables = CorpusTables(corpus.directory)
    labels, levels = tables.labels(), tables.levels()
    table = {row["image_id"]: row for row in boxes.directory.read_table("boxes.parquet").to_pylist()}
    thresholds = {
        row["category"]: row["threshold"]
        for row in boxes.directory.read_table("thresholds.parquet").to_pylist()
    }
    groups: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for image_id, row in sorted(table.items()):
        shows = has_defect(labels[image_id]) if image_id in labels else bool(row["boxes"])
        groups[row["category"], shows].append(image_id)
    queues = []
    for category in sorted({category for category, _ in groups}):
        defective, normal = groups[category, True], groups[category, False]
        blocks = [
            [
                *defective[start * (NORMAL_EVERY - 1) : (start + 1) * (NORMAL_EVERY - 1)],
                *normal[start : start + 1],
            ]
            for start in range(limit)
        ]
        queues.append(list(chain.from_iterable(blocks)))
    turns = chain.from_iterable(zip_longest(*queues))
    chosen = [image_id for image_id in turns if image_id is not None][:limit]
    wanted = set(chosen)
    chosen_maps = {row["image_id"]: (row, grid) for row, grid in map_rows(maps) if row["image_id"] in wanted}
    items = []
    for image_id in chosen:
        row, grid = chosen_maps[image_id]
        label = labels.get(image_id)
        runs = label["mask"] if label else None
        items.append(
            GalleryItem(
                category=row["category"],
                name=row["uri"].rsplit("/", 1)[-1],
                image=read_pixels(row["uri"], levels.get(image_id)),
                anomaly_map=upsample(grid, row["width"], row["height"]),
                mask=decode_mask(runs, row["width"], row["height"]) if runs is not None else None,
                boxes=[(sides(box), float(box["score"])) for box in table[image_id]["boxes"]],
                score=float(row["score"]),
                threshold=float(thresholds[row["category"]]),
                defective=has_defect(label) if label else None,
            )
        )
    return sorted(items, key=lambda item: item.category)


def examples(
    labelled: Artifact, starts: Mapping[str, StartOutcome], limit: int, min_score: float
) -> list[Example]:
    """The same defective test images for every start, its detections drawn over the truth.

    Args:
        labelled: the artifact with the labels.
        starts: outcome of each start, by its name.
        limit: most images; labels take turns.
        min_score: least score of a drawn detection.
    """
    tables = CorpusTables(labelled.directory)
    labels, levels = tables.labels(), tables.levels()
    drawn = []
    for start, outcome in starts.items():
        rows = outcome.evaluated.directory.read_table("predictions.parquet").to_pylist()
        by_label: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in sorted(rows, key=lambda row: str(row["image_id"])):
            if boxes := labels[row["image_id"]]["boxes"]:
                by_label[boxes[0]["label"]].append(row)
        turns = chain.from_iterable(zip_longest(*(group for _, group in sorted(by_label.items()))))
        for row in [row for row in turns if row is not None][:limit]:
            label = labels[row["image_id"]]
            truths = [DrawnBox(sides(box), box["label"]) for box in label["boxes"]]
            truths += [DrawnBox(sides(box), f"{box['label']}, ignored") for box in label["ignored"]]
            detections = [
                DrawnBox(sides(box), f"{box['label']} {box['score']:.2f}")
                for box in row["boxes"]
                if box["score"] >= min_score
            ]
            picture = draw_boxes(read_pixels(row["uri"], levels.get(row["image_id"])), truths, detections)
            drawn.append(Example(start, row["uri"].rsplit("/", 1)[-1], picture))
    return drawn
