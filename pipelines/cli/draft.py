"""Drafts of defect descriptions: what a chat model is shown and asked, and what is taken of its answer."""

import base64
import hashlib
import io
import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from cluster.config import validate
from cluster.errors import UserError
from cluster.yaml_files import parse_yaml
from pipelines.encoder import PromptLibrary
from pipelines.images import ImageError, decode_image, read_bytes

MAX_IMAGES, MAX_IMAGE_BYTES = 8, 64 << 20
MAX_DEFECTS, MAX_TYPE, MAX_FEATURES = 20, 60, 300  # letters; an encoder reads about 55 words
QUALITY = 90
MAX_BRACES = 100  # of an answer that are tried as the begin of its object

TASK = """The images show: {object}. They are photographs from industrial inspection, and may show defects.
Find every kind of defect that you can see, and describe how each looks, for a vision-language model that
will look for more of its kind: brightness, shape, edge, direction and place, in one plain phrase of at most
twenty words. Don't name causes, and don't describe the object itself. Answer with one JSON object and nothing
else:
{{"defects": [{{"type": "scratch", "features": "a thin bright straight line with sharp edges"}}]}}
"""


@dataclass(frozen=True)
class ShownImage:
    """An image as it is sent.

    Attributes:
        name: the file's name, without its folders.
        digest: SHA-256 of the file.
        jpeg: what is sent: pixels alone, made smaller; the file's metadata stays here.
    """

    name: str
    digest: str
    jpeg: bytes


def shown_images(paths: Sequence[Path], side: int) -> list[ShownImage]:
    """Read images, make them smaller and encode them anew.

    Args:
        paths: one to `MAX_IMAGES` files.
        side: longest side of what is sent, pixels.

    Raises:
        UserError: too many, or one that can't be read.
    """
    if not 1 <= len(paths) <= MAX_IMAGES:
        raise UserError(f"Give one to {MAX_IMAGES} images, not {len(paths)}.")
    shown = []
    for path in paths:
        try:
            data = read_bytes(str(path), MAX_IMAGE_BYTES)
            image = Image.fromarray(decode_image(data))
        except (ImageError, ValueError) as error:  # ValueError: no path, e.g. with a NUL in it
            raise UserError(f"{path} can't be shown: {error}.") from None
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=QUALITY)
        shown.append(ShownImage(path.name, hashlib.sha256(data).hexdigest(), stream.getvalue()))
    return shown


def draft_messages(thing: str, images: Sequence[ShownImage]) -> list[dict[str, Any]]:
    """The chat that asks for descriptions.

    Args:
        thing: what the images show, in plain words.
        images: see `shown_images`.
    """
    parts: list[dict[str, Any]] = [{"type": "text", "text": TASK.format(object=thing)}]
    for image in images:
        url = f"data:image/jpeg;base64,{base64.b64encode(image.jpeg).decode()}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return [{"role": "user", "content": parts}]


def drafted_defects(answer: str) -> list[dict[str, str]]:
    """Type and features of each defect in a model's answer, in its order.

    Raises:
        UserError: no JSON object with defects of that form, none at all, too many, or text that is no phrase.
    """
    for document in _objects(answer):
        if isinstance(document.get("defects"), list):
            defects = document["defects"]
            break
    else:
        raise UserError(
            "The model's answer holds no JSON object with defects; ask again, or take another --model."
        )
    if not defects:
        raise UserError("The model sees no defect in these images; give images that show one.")
    if len(defects) > MAX_DEFECTS:
        raise UserError(
            f"The model lists {len(defects)} defects, more than {MAX_DEFECTS}; ask again with fewer images."
        )
    return [
        {
            "type": _phrase(defect, "type", MAX_TYPE),
            "features": _phrase(defect, "features", MAX_FEATURES),
        }
        for defect in defects
    ]


def _objects(answer: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a text, outermost ones, from the left; words around them are passed over."""
    decoder, start = json.JSONDecoder(), 0
    for _ in range(MAX_BRACES):  # each may be read to the answer's end
        if (start := answer.find("{", start)) < 0:
            return
        try:
            document, start = decoder.raw_decode(answer, start)
        except (ValueError, RecursionError):
            start += 1
            continue
        if isinstance(document, dict):
            yield document


def _phrase(defect: Any, key: str, limit: int) -> str:
    """One line of text; a full stop at its end goes, as sentences go on after it."""
    text = defect.get(key) if isinstance(defect, dict) else None
    if not isinstance(text, str):
        raise UserError(
            f'A defect in the model\'s answer has no "{key}" in words; ask again, or take another --model.'
        )
    line = " ".join(text.split()).rstrip(".").strip()
    kinds = {unicodedata.category(letter)[0] for letter in line}
    if not line or len(line) > limit or "C" in kinds or not kinds & {"L"}:
        raise UserError(
            f'A defect in the model\'s answer has a "{key}" that is no phrase of 1 to {limit} letters; ask '
            "again, or take another --model."
        )
    return line


def draft_text(category: str, thing: str, defects: Sequence[dict[str, str]], notes: Sequence[str]) -> str:
    """A prompt file of one category, its origin in comments, proved to be read as it was meant.

    Args:
        category: the category's name.
        thing: the object in plain words.
        defects: see `drafted_defects`.
        notes: where it came from, a line each.

    Raises:
        UserError: it would not be read, e.g. for a category without a letter.
    """
    entry = {"object": thing, "defects": list(defects)}
    body = yaml.safe_dump(
        {"categories": {category: entry}}, sort_keys=False, allow_unicode=True, width=1 << 16
    )
    text = "".join(f"# {_one_line(note)}\n" for note in notes) + body
    library = validate(PromptLibrary, parse_yaml(text, "The draft"), "The draft")
    if library.model_dump(mode="json") != {"categories": {category: entry}}:
        raise UserError("The draft would not be read as the model wrote it; ask again.")
    return text


def _one_line(text: str) -> str:
    """The text without what ends a line or a comment: YAML knows more such letters than the newline."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
