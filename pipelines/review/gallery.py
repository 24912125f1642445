"""The content of the review page: stored maps of one workspace, read by plain pyarrow, and their images."""

import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.boxes import PseudoBoxSettings, category_thresholds
from pipelines.choice import Place
from pipelines.images import ImageError, decode_image, read_bytes
from pipelines.maps import grid_shapes, map_grids
from pipelines.tables import IDENTITY, REFERENCE, SIZE, CorpusTables

PER_PAGE, TILE_SIDE = 24, 320  # images on a page; longer side of their pictures
MAP_BYTES, PICTURES_KEPT = 256 << 20, 256  # in memory: maps of whole files, 100 MB of pictures at most
COLUMNS = [*(name for name, _ in [*IDENTITY, *SIZE]), "score", "map_max"]
DRAWN = {"c", "delta", "top_k", "nms_iou", "min_area"}  # settings of the rule that the page draws


class Gallery:
    """The maps of the images that take part in pretraining, with what is known of each image.

    Args:
        maps: directory of a maps stage's artifact.
        corpus: directory of the corpus artifact that the maps were made of.
        settings: pseudo-box settings that the page starts with.
        to_label: by image id its place among those to label first, see `newest_choice`; None without any.

    Attributes:
        rows: one an image: `image_id`, `uri`, `category`, `width`, `height`, `score`, `map_max`, `role`,
            `levels`, `grid` (rows and columns of its map), and `defects` and `ignored`, each the labelled
            boxes with their `label`; None where the image has no labels.
        thresholds: category thresholds; δ is Otsu's whatever the settings say, for the page to switch to.
        held_out: ids of the test split's images, which are not shown.

    Raises:
        UserError: there is no map, or the tables can't be read.
    """

    def __init__(
        self,
        maps: Storage,
        corpus: Storage,
        settings: PseudoBoxSettings,
        to_label: Mapping[str, Place] | None = None,
    ) -> None:
        self.settings = settings
        self._to_label = to_label or {}
        self._folder = maps.at("maps")
        try:
            levels = CorpusTables(corpus).levels()
            labels = CorpusTables(corpus).labels()
            manifest = CorpusTables(corpus).manifest(columns=("image_id", "split", "role"))
            self._files = [name for name in self._folder.children() if name.endswith(".parquet")]
            tables = [self._read(name, COLUMNS) for name in self._files]
            grids = [self._grid_shapes(name) for name in self._files]
        except (OSError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"The maps in {maps.uri} can't be read ({reason}); make them anew.") from None
        known = {row["image_id"]: row for row in manifest}
        self.rows: list[dict[str, Any]] = []
        self._places: list[tuple[int, int]] = []  # file and row of each map
        self.held_out = 0
        for number, table in enumerate(tables):
            for place, row in enumerate(table.to_pylist()):
                about = known.get(row["image_id"])
                if about is None or about["split"] == "test":
                    self.held_out += about is not None
                    continue
                label = labels.get(row["image_id"])
                self.rows.append(
                    {
                        **row,
                        "role": about["role"],
                        "levels": levels.get(row["image_id"]),
                        "grid": grids[number][place],
                        "defects": None if label is None else label["boxes"],
                        "ignored": [] if label is None else label["ignored"],
                    }
                )
                self._places.append((number, place))
        if not self.rows:
            raise UserError(f"{maps.uri} holds no map of a pretraining image; is the corpus empty?")
        self._by_id = {row["image_id"]: number for number, row in enumerate(self.rows)}
        self.thresholds = category_thresholds(
            pa.Table.from_pylist(self.rows), settings.model_copy(update={"delta": "auto"})
        )
        largest = max(4 * sum(rows * columns for rows, columns in shapes) for shapes in grids)
        self._grids = lru_cache(max(1, MAP_BYTES // max(1, largest)))(self._load)
        self.picture = lru_cache(PICTURES_KEPT)(self._picture)

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._by_id

    def row(self, image_id: str) -> dict[str, Any]:
        """What is known of an image.

        Raises:
            KeyError: the gallery has no such image.
        """
        return self.rows[self._by_id[image_id]]

    def maps(self, numbers: Sequence[int]) -> list[npt.NDArray[np.float32]]:
        """Maps of some rows, (rows, columns) float32 each.

        Raises:
            IndexError: a number without a row.
        """
        if any(not 0 <= number < len(self.rows) for number in numbers):
            raise IndexError("no such row")
        places = [self._places[number] for number in numbers]
        return [self._grids(file)[place] for file, place in places]

    def document(self) -> dict[str, Any]:
        """Everything except maps and pictures, by columns; JSON-able."""
        names = sorted(self.thresholds)
        number = {name: place for place, name in enumerate(names)}
        return {
            "per_page": PER_PAGE,
            "held_out": self.held_out,
            "settings": self.settings.model_dump(mode="json", include=DRAWN),
            "categories": [asdict(self.thresholds[name]) for name in names],
            "images": {
                "id": [row["image_id"] for row in self.rows],
                "name": [shown_name(row["uri"]) for row in self.rows],
                "category": [number[row["category"]] for row in self.rows],
                "width": [row["width"] for row in self.rows],
                "height": [row["height"] for row in self.rows],
                "rows": [row["grid"][0] for row in self.rows],
                "columns": [row["grid"][1] for row in self.rows],
                "score": [row["score"] for row in self.rows],
                "reference": [int(row["role"] == REFERENCE) for row in self.rows],
                "defects": [_corners(row["defects"]) for row in self.rows],
                "ignored": [_corners(row["ignored"]) for row in self.rows],
                "to_label": [_place(self._to_label.get(row["image_id"])) for row in self.rows],
            },
        }

    def warm(self) -> None:
        """Load the first page's maps and pictures before they are asked for."""
        order = sorted(range(len(self)), key=lambda number: -self.rows[number]["score"])[:PER_PAGE]
        with suppress(OSError, pa.ArrowException):  # as below
            self.maps(order)
        for number in order:
            with suppress(ImageError):  # said when it is asked for
                self.picture(self.rows[number]["image_id"], TILE_SIDE)

    def references(self, verdicts: Mapping[str, str]) -> dict[str, list[str]]:
        """References by category after the verdicts: the corpus' own minus rejected ones, plus accepted ones.

        Only categories that a verdict changes.
        """
        uris: dict[str, list[str]] = {}
        changed = set()
        for row in self.rows:
            now, verdict = row["role"] == REFERENCE, verdicts.get(row["image_id"])
            after = verdict == "accepted" or (now and verdict != "rejected")
            if after != now:
                changed.add(row["category"])
            if after:
                uris.setdefault(row["category"], []).append(row["uri"])
        return {name: uris.get(name, []) for name in sorted(changed)}

    def _picture(self, image_id: str, side: int) -> bytes:
        """An image as JPEG, its longer side at most `side` pixels.

        Raises:
            KeyError: no such image.
            ImageError: its file can't be read any more.
        """
        row = self.row(image_id)
        image = Image.fromarray(decode_image(read_bytes(row["uri"]), row["levels"], least_side=side))
        image.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=85)
        return stream.getvalue()

    def _read(self, name: str, columns: list[str]) -> pa.Table:
        with self._folder.filesystem.open_input_file(f"{self._folder.path}/{name}") as file:
            return pq.read_table(file, columns=columns)

    def _load(self, number: int) -> list[npt.NDArray[np.float32]]:
        return map_grids(self._read(self._files[number], ["map"]))

    def _grid_shapes(self, name: str) -> list[tuple[int, int]]:
        with self._folder.filesystem.open_input_file(f"{self._folder.path}/{name}") as file:
            return grid_shapes(pq.ParquetFile(file))


def _corners(boxes: Sequence[Mapping[str, Any]] | None) -> list[list[Any]] | None:
    """`[x0, y0, x1, y1, label]` of each box; None for None."""
    if boxes is None:
        return None
    return [[*(box[name] for name in ("x0", "y0", "x1", "y1")), box["label"]] for box in boxes]


def _place(place: Place | None) -> list[Any] | None:
    """`[place, reason]`; None where the image is not among those to label."""
    return None if place is None else [place.place, place.reason]


def shown_name(uri: str) -> str:
    """The last two parts of an image's path, which a person recognises."""
    return "/".join(PurePosixPath(unquote(uri) if "://" in uri else uri).parts[-2:])
