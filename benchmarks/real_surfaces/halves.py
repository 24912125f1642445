"""Two halves of every data set, and the corpus that pretraining sees: files copied once, nothing shared."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2

from benchmarks.real_surfaces.settings import Settings
from cluster.progress import say
from cluster.stages import digest
from pipelines.corpus import Corpus, CorpusSection, Listing, inspect
from pipelines.surfaces import CATEGORIES, generate

CORPUS, COUNTS = "corpus", "counts.json"


def write_halves(settings: Settings, folder: Path) -> Path:
    """Write `NAME/train` and `NAME/test` in the data set's own layout, and `corpus/CATEGORY`.

    The corpus holds images of no test half, without labels, under names that tell nothing: training halves,
    normal images among them (below `references`), images whose labels say nothing, generated surfaces. Done
    once for the same settings.

    Args:
        settings: the proof's settings; absent data sets are left out.
        folder: the parent of the folder made for these settings.

    Returns:
        That folder; its `counts.json` has the counts of each data set.
    """
    names = settings.present()
    deciding = {
        "roots": {name: str(settings.root(name).resolve()) for name in names},
        "layouts": {name: section.layout for name, section in names.items()},
        "share": settings.test_share,
        "generated": settings.generated.model_dump(mode="json"),
    }
    target = folder / "data" / digest(deciding)[:12]
    if (target / COUNTS).is_file():
        return target
    if target.exists():
        shutil.rmtree(target)  # half-written
    counts: dict[str, Any] = {}
    for name, section in names.items():
        say(f"halves of {name}: hashing and copying")
        counts[name] = copy_halves(
            settings.root(name), section.layout, settings.test_share, target / name, target / CORPUS
        )
    counts["generated"] = {"images": draw(settings, target / CORPUS)}
    (target / COUNTS).write_text(json.dumps(counts, indent=1))  # last: its presence means complete
    return target


def copy_halves(root: Path, layout: str, share: float, target: Path, corpus: Path) -> dict[str, int]:
    """Split one data set by content, near-duplicates on one side, and copy it into both places.

    Returns:
        Images by half, with and without boxes, and those that join the corpus.
    """
    section = CorpusSection(root=str(root), layout=layout, reference_count=0, test_share=share)
    listing = Listing(section)
    split = Corpus(inspect(listing.table()), section, {})
    source = listing.sources[0]
    entries = {source.uri(entry): entry for entry in source.entries}
    counts = dict.fromkeys(("train_boxed", "train_normal", "test_boxed", "test_normal", "corpus"), 0)
    for row in split.manifest:
        entry = entries[row["uri"]]
        if row["split"] in ("train", "test"):
            counts[f"{row['split']}_{'boxed' if row['boxes'] else 'normal'}"] += 1
            for file in (entry.path, *(entry.annotation.files if entry.annotation else ())):
                copy(root / file, target / row["split"] / file)
        if row["split"] != "test":
            counts["corpus"] += 1
            copy(root / entry.path, corpus / unlabelled_name(row, entry.path))
    return counts


def unlabelled_name(row: Mapping[str, Any], path: str) -> Path:
    """Where an image of the corpus goes: by category and content, for file names hold labels too."""
    below = "references" if row["normal"] else ""
    return Path(row["category"]) / below / f"{row['image_id']}{Path(path).suffix}"


def copy(source: Path, target: Path) -> None:
    """Copy a file with its time of change, by which listings know it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def draw(settings: Settings, corpus: Path) -> int:
    """Generated surfaces, normal and defective ones in one folder a category; how many."""
    section, count = settings.generated, 0
    for category in section.categories or tuple(CATEGORIES):
        for index in range(section.images_per_category):
            sample = generate(
                section.seed, index, size=section.size, category=category, defect_share=section.defect_share
            )
            path = corpus / category / f"{index:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), sample.image[..., ::-1])
            count += 1
    return count
