"""The gallery of proposed references: one HTML page, a picture per category, and the lines for the config."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from PIL import Image, ImageDraw, ImageFont

from cluster.html_page import jpeg_uri, page_environment
from cluster.storage import Storage
from pipelines.corpus import CorpusSection
from pipelines.references.proposal import SIDE, CategoryProposal

TEMPLATE = "page.html.j2"
COLUMNS, GAP, CAPTION = 4, 20, 76  # the picture's columns; pixels of gap and caption
PAPER, INK, SOFT = (246, 247, 249), (23, 32, 42), (86, 97, 110)


def config_patch(proposals: Sequence[CategoryProposal], section: CorpusSection) -> str:
    """The YAML that accepts the proposals: `corpus.references.CATEGORY: [paths]`.

    It lists all sources of a corpus, since a config's list is only replaced whole.
    """
    chosen: list[dict[str, list[str]]] = [{} for _ in section.keyed_sources()]
    for proposal in proposals:
        for pick in proposal.proposals:
            chosen[pick.source].setdefault(proposal.category, []).append(pick.path)
    return _patch(chosen, {proposal.category for proposal in proposals}, section)


def references_patch(uris: Mapping[str, Sequence[str]], section: CorpusSection) -> str:
    """The YAML that names exactly these images as references of their categories; see `config_patch`.

    Args:
        uris: URIs of the corpus' images by category.
        section: the corpus' config.
    """
    sources = [source for _, source in section.keyed_sources()]
    roots = [f"{Storage.open(source.root).uri}/" if source.root else "" for source in sources]
    chosen: list[dict[str, list[str]]] = [{} for _ in sources]
    for category, images in uris.items():
        for uri in images:
            owner = next((n for n, root in enumerate(roots) if root and uri.startswith(root)), None)
            inside = owner is not None and "://" not in uri
            path = uri.removeprefix(roots[owner or 0]) if inside else uri
            chosen[owner or 0].setdefault(category, []).append(path)
        if not images:
            chosen[0][category] = []
    return _patch(chosen, set(uris), section)


def _patch(chosen: Sequence[dict[str, list[str]]], names: set[str], section: CorpusSection) -> str:
    """The YAML of references by source; it replaces all references of the categories `names`."""
    corpus: dict[str, Any] = {"references": chosen[0]}
    if section.sources:
        sources = [source.model_dump(mode="json", exclude_defaults=True) for source in section.sources]
        for source, new in zip(sources, chosen, strict=True):
            old = {name: items for name, items in source.get("references", {}).items() if name not in names}
            if old | new:
                source["references"] = old | new
            else:
                source.pop("references", None)
        corpus = {"sources": sources}
    return yaml.safe_dump({"corpus": corpus}, sort_keys=False, allow_unicode=True, width=1000)


def render_page(proposals: Sequence[CategoryProposal], title: str, patch: str) -> str:
    """The gallery as one HTML document without scripts or outside resources; all text is escaped."""
    environment = page_environment(Path(__file__).parent)
    environment.filters["picture"] = _picture_uri
    template = environment.get_template(TEMPLATE)
    return template.render(title=title, categories=proposals, patch=patch)


def _picture_uri(picture: npt.NDArray[np.uint8]) -> str:
    """A JPEG data URI of (H, W, 3) uint8."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=88)
    return jpeg_uri(stream.getvalue())


def render_picture(proposal: CategoryProposal) -> bytes:
    """The proposals of one category side by side, numbered as on the page; PNG."""
    count = len(proposal.proposals)
    columns = min(COLUMNS, count)
    cell, row = SIDE + GAP, SIDE + CAPTION + GAP
    size = (columns * cell + GAP, -(-count // columns) * row + GAP)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    font, small = ImageFont.load_default(17), ImageFont.load_default(15)
    for number, pick in enumerate(proposal.proposals):
        x, y = GAP + number % columns * cell, GAP + number // columns * row
        height, width = pick.picture.shape[:2]
        sheet.paste(Image.fromarray(pick.picture), (x + (SIDE - width) // 2, y + (SIDE - height) // 2))
        y += SIDE + 8
        name = f"{number + 1}  {_printable(pick.path)}"
        draw.text((x, y), _fitting(draw, name, font), INK, font)
        caption = f"anomaly score {pick.score:.3f}, stands for {pick.represents:.0%}"
        draw.text((x, y + 26), caption, SOFT, small)
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return stream.getvalue()


def picture_name(number: int, category: str) -> str:
    """A file name for a category's picture; no category name can turn it into another path."""
    safe = re.sub(r"[^a-z0-9]+", "_", category.lower())[:40].strip("_")
    return f"references_{number:02d}{'_' if safe else ''}{safe}.png"


def _printable(text: str) -> str:
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _fitting(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text without its middle where it is wider than a picture: a path's end says the most."""
    text = text if len(text) < 400 else f"{text[:8]}…{text[-380:]}"
    if draw.textlength(text, font) <= SIDE:
        return text
    head, tail = text[:6], text[6:]
    while tail and draw.textlength(f"{head}…{tail}", font) > SIDE:
        tail = tail[1:]
    return f"{head}…{tail}"
