"""The stage of `agssp next`: the images to label first, why, and boxes to begin with."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.progress import say
from cluster.stages import Artifact, Site, Workbench, ensure
from pipelines.choice.choosing import Chosen, Pool, choose
from pipelines.choice.disagreement import box_disagreement
from pipelines.choice.section import NextSection
from pipelines.choice.sources import ChoiceSources, nothing_left
from pipelines.choice.stored import CHOSEN_FILE, STAGE
from pipelines.tables import IDENTITY, PREDICTED_BOX, SIZE

UNREAD = "changed or unreadable since the corpus was listed"
CSV_FILE, CHOSEN_BOXES = "next.csv", "boxes.parquet"
CHOSEN = pa.schema(
    [
        ("place", pa.int32()),
        *IDENTITY,
        *SIZE,
        ("score", pa.float64()),
        ("map_score", pa.float64()),
        ("anomaly", pa.float64()),
        ("diversity", pa.float64()),
        ("disagreement", pa.float64()),
        ("boxes", pa.int32()),
        ("nearest", pa.string()),
        ("reason", pa.string()),
    ]
)
BOXED = pa.schema([*IDENTITY, *SIZE, ("boxes", pa.list_(PREDICTED_BOX))])


@dataclass(frozen=True)
class PreAnnotations:
    """Boxes that a person begins with.

    Attributes:
        boxes: artifact of the boxes stage.
        label: class of its boxes.
        predictions: artifact of a detector's predictions of the candidates, which disagree with those boxes
            and are shown instead of them; None without a detector.
    """

    boxes: Artifact
    label: str
    predictions: Artifact | None = None

    @property
    def classes(self) -> list[str]:
        """Names of the classes of the boxes that are shown."""
        return [self.label] if self.predictions is None else list(self.predictions.results["classes"])

    @property
    def source(self) -> str:
        """What found the boxes that are shown."""
        if self.predictions is None:
            return f"agssp boxes {self.boxes.fingerprint[:16]}"
        return str(self.predictions.results["model"])


def choose_images(
    section: NextSection, seed: int, sources: ChoiceSources, shown: PreAnnotations, *, site: Site
) -> Artifact:
    """Choose the images to label first.

    Writes `next.parquet` and `next.csv` (an image a line, the first to label first, with the parts of its
    score) and `boxes.parquet`, the chosen images' boxes in the same order, for `export_boxes`.

    Args:
        section: the config.
        seed: seed of the order of equals.
        sources: the corpus and what is known of its images.
        shown: boxes to begin with.
        site: workspace and tracking run.

    Raises:
        UserError: see `ChoiceSources`.
    """

    def body(bench: Workbench) -> Mapping[str, Any]:
        found, rows, (places, vectors) = sources.sorted_out, sources.rows, sources.vectors
        pseudo = _boxes(shown.boxes, "boxes.parquet")
        predicted = None if shown.predictions is None else _boxes(shown.predictions, "predictions.parquet")
        # What the detector could not read, a person could not label.
        left_out, ids, dispute = dict(found.left_out), sources.free, None
        if predicted is not None:
            ids = [one for one in ids if one in predicted]
            dispute = np.array([box_disagreement(pseudo.get(one, ()), predicted[one]) for one in ids])
            if gone := len(sources.free) - len(ids):
                left_out[UNREAD] = gone
        if not ids:
            raise nothing_left(left_out)
        known = sorted(found.known)
        pool = Pool(
            image_ids=ids,
            categories=[rows[one]["category"] for one in ids],
            scores=np.array([rows[one]["score"] for one in ids]),
            groups=[found.groups[one] for one in ids],
            embeddings=vectors[[places[one] for one in ids]],
            disagreement=dispute,
        )
        chosen = choose(pool, section, seed, known, vectors[[places[one] for one in known]])
        boxes = pseudo if predicted is None else predicted
        listed = [
            _row(place, one, rows[ids[one.row]], rows, len(boxes.get(ids[one.row], ())))
            for place, one in enumerate(chosen, start=1)
        ]
        bench.directory.write_table(CHOSEN_FILE, pa.Table.from_pylist(listed, schema=CHOSEN))
        bench.directory.write(CSV_FILE, _csv(listed))
        bench.directory.write_table(
            CHOSEN_BOXES,
            pa.Table.from_pylist(
                [
                    {**{name: row[name] for name in BOXED.names[:-1]}, "boxes": _labelled(boxes, row, shown)}
                    for row in listed
                ],
                schema=BOXED,
            ),
        )
        groups = len({found.groups[one] for one in ids})
        if groups < section.count:
            say(f"next: {section.count} images are asked for, and {groups} are left to label; all are listed")
        return {
            "chosen": len(listed),
            "asked": section.count,
            "left_to_label": len(ids),
            "groups": groups,
            "left_out": left_out,
            "detector": shown.predictions is not None,
            "classes": shown.classes,
            "boxes_of": shown.source,
        }

    extra = {} if shown.predictions is None else {"predictions": shown.predictions.fingerprint}
    return ensure(
        STAGE,
        site=site,
        config={**section.model_dump(mode="json"), "seed": seed, "limit": sources.limit},
        inputs={**sources.inputs, "boxes": shown.boxes},
        extra=extra,
        body=body,
    )


def _boxes(artifact: Artifact, name: str) -> dict[str, list[dict[str, Any]]]:
    rows = artifact.directory.read_table(name, columns=["image_id", "boxes"]).to_pylist()
    return {row["image_id"]: row["boxes"] for row in rows}


def _labelled(
    boxes: Mapping[str, list[dict[str, Any]]], row: Mapping[str, Any], shown: PreAnnotations
) -> list[dict[str, Any]]:
    return [{"label": shown.label, **box} for box in boxes.get(row["image_id"], ())]


def _row(
    place: int, one: Chosen, about: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]], boxes: int
) -> dict[str, Any]:
    """A row of `CHOSEN`."""
    nearest = rows[one.nearest]["uri"] if one.nearest is not None else None
    return {
        **{name: about[name] for name, _ in [*IDENTITY, *SIZE]},
        "place": place,
        "score": one.score,
        "map_score": about["score"],
        "anomaly": one.anomaly,
        "diversity": one.diversity,
        "disagreement": one.disagreement,
        "boxes": boxes,
        "nearest": nearest,
        "reason": _reason(one, about),
    }


def _reason(one: Chosen, about: Mapping[str, Any]) -> str:
    """Why an image was chosen, in words."""
    higher = 100 * (1 - one.anomaly)
    said = [f"map score {about['score']:.2f}, {higher:.0f} % of {about['category']} are higher"]
    if one.nearest is None:
        said.append("nothing is labelled yet")
    else:
        said.append(f"diversity {one.diversity:.2f} from what is labelled or chosen")
    if one.disagreement is not None:
        share = 2 * one.disagreement - 1
        said.append(f"map and detector disagree on {100 * share:.0f} % of the boxed area")
    return "; ".join(said)


def _csv(rows: list[dict[str, Any]]) -> bytes:
    stream = io.StringIO()
    names = ["place", "uri", *(name for name in CHOSEN.names if name not in ("place", "uri"))]
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode("utf-8", "surrogateescape")
