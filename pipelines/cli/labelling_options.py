"""What the commands that write boxes for labelling tools share: their options, and the last words."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cluster.cli.command import out
from pipelines.labelling import DEFAULT_URL, FORMATS, IMAGE_MODES, LINK

To = Annotated[str | None, typer.Option("--to", help=f"Format: {', '.join(FORMATS)}.", show_default=False)]
OutFolder = Annotated[
    str | None, typer.Option("--out", help="Local folder for the files of --to.", show_default=False)
]
Images = Annotated[
    str, typer.Option("--images", help=f"How the images come into that folder: {', '.join(IMAGE_MODES)}.")
]
Classes = Annotated[
    list[str] | None,
    typer.Option("--label", help="A further class for the person to choose; repeatable.", show_default=False),
]
ImageUrl = Annotated[
    str,
    typer.Option("--image-url", help="Label Studio: what stands before each image's relative name."),
]
YoloScores = Annotated[
    bool, typer.Option("--yolo-scores", help="YOLO: scores as a sixth column, which training refuses.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace annotation files that exist; images never are.")
]
DEFAULT_IMAGES = LINK
NORMAL_WITHOUT_BOXES = ("labelme", "coco", "yolo", "voc")  # how their files are read, everywhere


def options_of(
    to: str | None,
    folder: str | None,
    images: str = DEFAULT_IMAGES,
    classes: list[str] | None = None,
    url: str = DEFAULT_URL,
    yolo_scores: bool = False,
    force: bool = False,
    *,
    needed: bool = False,
) -> Any:
    """The export that a command line asks for, checked; None where it asks for none and none is needed.

    Raises:
        UserError: an option of an export without its format or folder; see `check_options` too.
    """
    from cluster.errors import UserError
    from pipelines.labelling import ExportOptions, check_options

    given = ExportOptions(to or "", folder or "", images, tuple(classes or ()), url, yolo_scores, force)
    if to is None and not needed and given == ExportOptions("", ""):
        return None
    if to is None:
        raise UserError(f"Name the format to write: --to {', '.join(FORMATS)}.")
    if not folder:
        raise UserError(f"Name a folder for the {to} files: --out FOLDER.")
    check_options(given)
    return given


def render_export(result: Mapping[str, Any]) -> None:
    """What was written where, for a person."""
    lines = [
        f"{result['boxes']} boxes of {result['images']} images as {result['format']}: {result['folder']}",
        f"Image names are relative to {result['relative_to']}",
    ]
    if result["format"] != "label-studio":  # which tells predictions from annotations
        normal = ", and images without boxes as normal" if result["format"] in NORMAL_WITHOUT_BOXES else ""
        lines.append(
            f"Look at every image before these files are read back: all boxes count as labels then{normal}."
        )
    if result["boxes_without_area"]:
        lines.insert(1, f"Left out: {result['boxes_without_area']} boxes without an area")
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)
