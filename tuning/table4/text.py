"""Measured rows next to the paper's, as plain data and as markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cluster.verdicts import chance_level
from pipelines.encoder import PRESETS
from tuning.markdown import bullets, grid
from tuning.table4.measuring import Measured
from tuning.table4.paper import PaperRow, PaperTable

HEADER = ("model", "encoder", "mode", "DF", "V-V", "image", "pixel", "AUPRO", "s/image", "billet", "pipe")
NOTES = (
    "image, pixel: AUROC; like AUPRO in percent, over all images together. s/image: encoder and maps, without"
    " decoding and metrics.",
    "billet, pipe: the paper's image/pixel AUROC on its Casting Billet and Steel Pipe images.",
    "KeAD without V-V reads the plain path's patches here; what the paper read there it does not say.",
)
PAPER_ONLY = "paper only"
MARKS = {
    "chance_level": (
        "*",
        "can't be told from guessing on so few images (0.5 lies in the AUROC's 95 % interval): no ground "
        "to prefer this row to another.",
    ),
    "below_chance": ("†", "worse than guessing: check the labels, the references and the prompts."),
    "filled": (
        "‡",
        "of filled boxes, as not all defects have masks: a box holds normal pixels too, so that a perfect "
        "map stays below 100.",
    ),
}


def paper_encoder(model: str) -> str:
    """The paper's word for an encoder of `maps.encoder.model`; `base` stands beside any other one."""
    named = {name: word for word, (name, _) in PRESETS.items()}
    return model if model in PRESETS else named.get(model.replace("/", "-"), "base")


def comparison(
    measured: Sequence[Measured],
    paper: PaperTable,
    model: str,
    *,
    defective: int,
    normal: int,
    filled: int = 0,
) -> list[dict[str, Any]]:
    """Our rows with the paper's figures beside them, then the paper's other rows; figures in 0…1.

    Args:
        measured: figures of our rows.
        paper: the paper's Table 4.
        model: config value `maps.encoder.model`.
        defective, normal: number of judged images of each kind.
        filled: number of those whose boxes are filled, in the place of a mask.

    Returns:
        The rows; `marks` has the signs of each of our figures that want a word, see `MARKS`.
    """
    word, left, lines = paper_encoder(model), list(paper.rows), []
    for result in measured:
        row = result.row
        same = [
            other
            for other in left
            if (other.model, other.encoder, other.mode) == (row.model, word, row.mode)
            and (bool(other.defect_features), bool(other.vv)) == (row.defect_features, row.vv)
        ]
        left = [other for other in left if other not in same]
        document = result.document()
        lines.append(
            {
                **document.pop("row"),
                **row.marks,
                "encoder": model,
                **document,
                "marks": _marks(result, defective, normal, filled),
                "paper": paper_figures(same[0]) if same else None,
            }
        )
    for other in left:
        identity = other.model_dump(include={"model", "mode", "defect_features", "vv", "encoder"})
        lines.append({**identity, "not_run": PAPER_ONLY, "paper": paper_figures(other)})
    return lines


def _marks(result: Measured, defective: int, normal: int, filled: int) -> dict[str, str]:
    told = {
        "image_auroc": chance_level("image AUROC", result.image_auroc, defective=defective, normal=normal),
        # A defective image has normal pixels too.
        "pixel_auroc": chance_level(
            "pixel AUROC", result.pixel_auroc, defective=defective, normal=defective + normal
        ),
    }
    marks = {name: MARKS[verdict.kind][0] for name, verdict in told.items() if verdict is not None}
    if filled:
        places = {"pixel_auroc": result.pixel_auroc, "aupro": result.aupro}
        sign = MARKS["filled"][0]
        marks |= {name: marks.get(name, "") + sign for name, value in places.items() if value is not None}
    return marks


def explained(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """The meaning of every sign that the lines of `comparison` have."""
    signs = "".join(sign for line in lines for sign in line.get("marks", {}).values())
    return [f"{mark} {sentence}" for mark, sentence in MARKS.values() if mark in signs]


def cells(line: Mapping[str, Any]) -> list[str]:
    """One line of `comparison` as text under `HEADER`."""
    flags = ["–" if line[name] is None else "✓" if line[name] else "✗" for name in ("defect_features", "vv")]
    figures = ["not run", "", "", ""]
    if not line["not_run"]:
        marks = line.get("marks", {})
        figures = [
            percent(line[name]) + marks.get(name, "") for name in ("image_auroc", "pixel_auroc", "aupro")
        ]
        figures.append(f"{line['seconds_per_image']:.3g}")
    theirs = ["–", "–"]
    if line["paper"]:
        pairs = (line["paper"][name] for name in ("casting_billet", "steel_pipe"))
        theirs = [f"{percent(pair['image'])}/{percent(pair['pixel'])}" for pair in pairs]
    return [line["model"], line["encoder"], line["mode"], *flags, *figures, *theirs]


def footnotes(lines: Sequence[Mapping[str, Any]], paper: PaperTable) -> list[str]:
    """Remarks on the table: how to read it, which rows were not run, and how the times compare."""
    notes = [*explained(lines), *NOTES, f"Paper: {paper.source}."]
    beside = {line["paper"]["encoder"] for line in lines if line["not_run"] != PAPER_ONLY and line["paper"]}
    notes += [f"Beside our rows stand the paper's of its encoder {word}." for word in sorted(beside)]
    shots = {line["model"]: line["shots"] for line in lines if line.get("shots")}
    notes += [
        f"{model}: {count} normal references a category in few-shot rows." for model, count in shots.items()
    ]
    for line in lines:
        if line["not_run"] not in (None, PAPER_ONLY):
            notes.append(f"Not run: {line['model']} {line['mode']}: {line['not_run'].rstrip('.')}.")
    ratio = time_ratio(lines)
    if ratio is not None:
        theirs = paper.minutes["WinCLIP"] / paper.minutes["KeAD"]
        notes.append(f"WinCLIP takes {ratio:.1f} × KeAD's time an image here, {theirs:.1f} × in the paper.")
    return notes


def time_ratio(lines: Sequence[Mapping[str, Any]]) -> float | None:
    """Seconds an image of few-shot WinCLIP over those of full KeAD; None when either was not run."""
    seconds = {
        (line["model"], line["mode"], line["defect_features"], line["vv"]): line["seconds_per_image"]
        for line in lines
        if not line["not_run"]
    }
    kead, winclip = seconds.get(("KeAD", "few", True, True)), seconds.get(("WinCLIP", "few", False, False))
    return winclip / kead if kead and winclip else None


def markdown(lines: Sequence[Mapping[str, Any]], paper: PaperTable, images: int) -> str:
    """The whole table as a markdown document."""
    table = grid(HEADER, [cells(line) for line in lines])
    notes = bullets(footnotes(lines, paper))
    return f"# Table 4 on {images} labelled images\n\n{table}\n\n{notes}\n"


def paper_figures(row: PaperRow) -> dict[str, Any]:
    """A printed row's encoder and its figures in 0…1."""
    billet, pipe = (
        {name: round(value / 100, 4) for name, value in figures.model_dump().items()}
        for figures in (row.casting_billet, row.steel_pipe)
    )
    return {"encoder": row.encoder, "casting_billet": billet, "steel_pipe": pipe}


def percent(value: float | None) -> str:
    """A figure of 0…1 in percent; a dash where there is none."""
    return "–" if value is None else f"{100 * value:.1f}"
