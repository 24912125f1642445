"""The command `agssp prompts draft`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.cli.command import Json, out, run_command
from cluster.progress import say
from pipelines.category_names import category_key
from pipelines.encoder import load_library

Category = Annotated[str, typer.Argument(help="Name of the category, as a folder has it.")]
Images = Annotated[list[Path], typer.Argument(help="One to eight images that show defects.")]
Endpoint = Annotated[
    str, typer.Option(help="Base address of an OpenAI-compatible chat API, e.g. http://localhost:8000/v1.")
]
Model = Annotated[str, typer.Option(help="The model's name there; it must take images.")]
KeyEnv = Annotated[
    str | None,
    typer.Option(help="Environment variable that holds the key; none is sent without.", show_default=False),
]
Thing = Annotated[
    str | None,
    typer.Option(
        "--object", help="The object in plain words; the library's when left out.", show_default=False
    ),
]
OutFile = Annotated[Path, typer.Option("--out", help="YAML file to write; it must not be there yet.")]
Side = Annotated[int, typer.Option(min=64, max=4096, help="Longest side of what is sent, pixels.")]
Timeout = Annotated[float, typer.Option(min=1, max=3600, help="Seconds for an answer.")]


def draft(
    category: Category,
    images: Images,
    endpoint: Endpoint,
    model: Model,
    out_file: OutFile = Path("draft.yaml"),
    key_env: KeyEnv = None,
    thing: Thing = None,
    side: Side = 1024,
    timeout: Timeout = 120.0,
    as_json: Json = False,
) -> None:
    """Defect descriptions by a chat model that looks at your images, for your review.

    This sends the images to the endpoint that you name, made smaller and without their metadata. Read the
    file, mend it, and name it as maps.prompts: nothing uses it before you do.
    """

    def body() -> Mapping[str, Any]:
        return drafted(category, images, endpoint, model, out_file, key_env, thing, side, timeout)

    run_command(body, json_mode=as_json, render=render_draft)


def drafted(
    category: str,
    images: list[Path],
    address: str,
    model: str,
    out_file: Path,
    key_variable: str | None,
    thing: str | None,
    side: int,
    timeout: float,
) -> Mapping[str, Any]:
    """Ask the model and write the draft, all checked before anything is sent; JSON-able.

    Raises:
        UserError: a word is at fault, the file exists or can't be written, or the answer can't be used.
    """
    from cluster.errors import UserError
    from cluster.storage import Storage
    from pipelines.cli.chat import ask_model, chat_endpoint
    from pipelines.cli.draft import draft_messages, draft_text, drafted_defects, shown_images

    where = chat_endpoint(address, model, key_variable, timeout)
    if out_file.exists() or out_file.is_symlink():
        raise UserError(f"{out_file} is there already; give another name with --out, or remove it.")
    if not out_file.parent.is_dir():
        raise UserError(f"The folder {out_file.parent} of --out does not exist.")
    key = category_key(category)
    if not key:
        raise UserError(f'"{category}" names no category: it has no letter or digit.')
    if thing is None:
        known = load_library().categories.get(key)
        thing = known.object if known else key.replace("_", " ")
    draft_text(category, thing, [{"type": "scratch", "features": "a line"}], [])  # its names can be written
    shown = shown_images(images, side)
    size = sum(len(image.jpeg) for image in shown)
    say(f"sending {len(shown)} images ({size / 1e6:.1f} MB) to {where.host}, model {where.model}")
    answer = ask_model(where, draft_messages(thing, shown))
    defects = drafted_defects(answer)
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    notes = [
        "A draft by a chat model: read it, mend it, then name this file as maps.prompts.",
        f"Endpoint {where.host}, model {where.model}, {date}.",
        *(f"Shown: {image.name}, sha256 {image.digest}." for image in shown),
    ]
    text = draft_text(category, thing, defects, notes)
    try:
        Storage.open(str(out_file.parent.resolve())).write(out_file.name, text.encode())
    except OSError as error:
        raise UserError(f"{out_file} can't be written: {error.strerror}.") from None
    images_sent = [{"name": image.name, "sha256": image.digest} for image in shown]
    origin = {"endpoint": where.host, "model": where.model, "date": date, "images": images_sent}
    return {"file": str(out_file), "category": category, "object": thing, "defects": defects, **origin}


def render_draft(result: Mapping[str, Any]) -> None:
    """The descriptions, and what to do with them, for a person."""
    for defect in result["defects"]:
        out.print(f"  {defect['type']}: {defect['features']}", markup=False, soft_wrap=True)
    told = f"agssp prompts show {result['category']} 'maps.prompts=[{result['file']}]'"
    out.print(f"Written for your review: {result['file']}; see {told}", markup=False, soft_wrap=True)
