"""Writes a category's maps as one ONNX file, after it has given on images what this program gives."""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cluster.errors import UserError, nearest
from cluster.stages import Artifact
from pipelines.encoder import PRESETS, SHIPPED
from pipelines.images import ImageError, read_image
from pipelines.maps.build import build_method
from pipelines.maps.kead import KeAD
from pipelines.maps.map_graph import IMAGES, OUTPUTS, map_model
from pipelines.maps.method import CategoryState
from pipelines.maps.onnx_tower import session_of
from pipelines.maps.rows import category_states
from pipelines.maps.section import MapsSection
from pipelines.tables import CorpusTables

METADATA_KEY = "agssp"  # as in the files of detectors
MOST_DIFFERENCE = 1e-3  # of a map's value or a score
CHECKED = 4  # images beside the references
# Who published the weights behind the presets' tags, and under what licence, as their model cards say.
LICENCES = {
    SHIPPED: "AGPL-3.0-or-later: trained and shipped by agssp",
    "laion400m_e32": "MIT: LAION, open_clip",
    "openai": "MIT: OpenAI, CLIP",
    "dfn5b": "Apple's model licence for research: Apple, DFN5B-CLIP",
}


@dataclass(frozen=True)
class CategoryCut:
    """How a category's maps are cut: its row of the boxes stage's `thresholds.parquet`.

    Attributes:
        threshold: the map's value from which a cell is anomalous.
        delta: the score below which an image counts as normal.
    """

    threshold: float
    delta: float


def refuse_unwritable(section: MapsSection) -> None:
    """Refuse maps that no exported file gives, before anything is made.

    Raises:
        UserError: tiles, another bank, another method or another precision than the file has.
    """
    reasons = {
        f"maps.tiles={section.tiles}": section.tiles != "off",
        "maps.method=winclip": section.method != "kead",
        f"maps.bank.encoder={section.bank.encoder}, maps.bank.mode={section.bank.mode}": not section.bank.own,
        f"maps.precision={section.precision}": section.precision != "fp32",
    }
    for setting, refused in reasons.items():
        if refused:
            raise UserError(
                f"agssp export maps writes KeAD's maps of whole images with its own bank in fp32; {setting} "
                "can't be written as one file."
            )


def export_maps(
    section: MapsSection,
    *,
    category: str,
    cuts: Mapping[str, CategoryCut],
    maps: Artifact,
    corpus: Artifact,
    path: Path,
) -> dict[str, Any]:
    """Write encoder, text embeddings, reference bank and threshold of one category as one ONNX file.

    The file's metadata holds `contract` as JSON under `agssp`. It appears whole or not at all.

    Args:
        section: the config of the maps.
        category: one of the corpus.
        cuts: thresholds by category.
        maps, corpus: the stages' artifacts.
        path: the file to write.

    Returns:
        Path, bytes, checked images, largest differences of maps and of scores.

    Raises:
        UserError: see `refuse_unwritable`; no such category; an encoder that no ONNX file is written for or
            holds; a folder that can't be written to.
        RuntimeError: the file's results differ by more than rounding.
    """
    refuse_unwritable(section)
    tables = CorpusTables(corpus.directory)
    references, levels = tables.references(), tables.levels("uri")
    if category not in references or category not in cuts:
        raise UserError(f'The corpus has no category "{category}"; {nearest(category, sorted(cuts))}')
    method = build_method(section.model_copy(update={"runtime": "torch", "compile": False}), "cpu")
    assert isinstance(method, KeAD)
    state = category_states(method, section, {category: references[category]}, levels)[category]
    rows = tables.manifest(columns=("uri", "category", "role"))
    others = [row["uri"] for row in rows if row["category"] == category and row["role"] != "reference"]
    images = _readable([*references[category][: section.shots], *others], levels, section.shots + CHECKED)
    try:
        model = map_model(method, state)
    except ValueError as error:
        raise UserError(f'The encoder "{method.encoder.name}" can\'t be exported: {error}.') from None
    told = contract(section, method, category, cuts[category], maps, len(references[category]))
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(told, sort_keys=True)
    content = model.SerializeToString()
    differences = compared(content, method, state, images)
    if not max(differences.values()) <= MOST_DIFFERENCE:  # NaN too
        raise RuntimeError(
            f"The exported model does not give what agssp gives: {', '.join(map(str, differences.items()))}"
        )
    written = _write(path, content)
    return {
        "path": str(path),
        "bytes": written,
        "checked_images": len(images),
        **{f"max_{name}_error": difference for name, difference in differences.items()},
    }


def contract(
    section: MapsSection, method: KeAD, category: str, cut: CategoryCut, maps: Artifact, references: int
) -> dict[str, Any]:
    """What a program needs to use the file: input, outputs, threshold, and where all of it comes from."""
    side, grid = method.input_side, method.grid
    model, tag = PRESETS.get(section.encoder.model, (section.encoder.model, None))
    given = section.encoder.weights or tag or section.encoder.model
    return {
        "kind": "anomaly map",
        "category": category,
        "encoder": {
            "name": method.encoder.name,
            "model": model,
            "digest": method.encoder.digest,
            "licence": LICENCES.get(given, "that of the weights given; agssp can't tell it"),
        },
        "references": min(section.shots, references),
        "settings": section.deciding,
        "maps": maps.fingerprint,
        "input": {
            "name": IMAGES,
            "layout": "(batch, height, width, 3) uint8, RGB; any batch size, any height and width",
            "how": f"the file resizes to {side}×{side} as Pillow's bicubic does, and normalises; "
            "scale values of more than 8 bits to 0…255 before",
            "side": side,
            "mean": list(method.encoder.mean),
            "std": list(method.encoder.std),
        },
        "outputs": {
            "map": f"(batch, {grid}, {grid}) float32; higher is more anomalous; upsample to the image's size "
            "bilinearly with half-pixel centres (cv2.INTER_LINEAR)",
            "score": "(batch,) float32, the image's score; higher is more anomalous",
        },
        "postprocessing": {
            **asdict(cut),
            "boxes": "an image whose score is below delta is normal; else the pixels of the upsampled map at "
            "or above threshold are anomalous",
        },
    }


def compared(
    content: bytes, method: KeAD, state: CategoryState, images: list[npt.NDArray[np.uint8]]
) -> dict[str, float]:
    """Largest differences of the model's maps and scores from the method's, image by image."""
    session = session_of(content, torch.get_num_threads())
    largest = dict.fromkeys(OUTPUTS, 0.0)
    for image in images:
        wanted = method(torch.from_numpy(method.preprocess(image)[None]), [state])
        given = session.run(list(OUTPUTS), {IMAGES: image[None]})
        for name, one, other in zip(OUTPUTS, (wanted.maps, wanted.score), given, strict=True):
            largest[name] = float(np.maximum(largest[name], np.abs(one.numpy() - other).max()))  # NaN stays
    return largest


def _readable(
    uris: list[str], levels: Mapping[str, tuple[float, float]], most: int
) -> list[npt.NDArray[np.uint8]]:
    """The first images that can be read; the maps stage has told of the others."""
    images: list[npt.NDArray[np.uint8]] = []
    for uri in uris:
        try:
            images.append(read_image(uri, levels.get(uri)))
        except ImageError:
            continue
        if len(images) == most:
            break
    if not images:
        raise UserError("No image of the category can be read, so the exported file could not be checked.")
    return images


def _write(path: Path, content: bytes) -> int:
    """The file whole or not at all; returns its size."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).chmod(0o644)
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise UserError(
            f"{path} can't be written: {error.strerror or error}; give another with -o."
        ) from None
    return len(content)
