"""What a person labelled, read back: a kept copy of the labels, checked against what was asked for."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cluster.errors import UserError, nearest
from cluster.stages import Artifact, Site
from pipelines.corpus import CorpusImages, CorpusSection, Listing, Source, build_corpus, described
from pipelines.images import IMAGE_SUFFIXES
from pipelines.tables import CorpusTables
from training.export import labels_digest

TO_LABEL, LABELLED, KEPT = "to-label", "labelled", "kept"
USED = "used"  # a fault that was mended, in `bad_labels.parquet`


class ReturnedSection(CorpusSection):
    """One round's labels as a corpus whose messages name the loop's section."""

    def keyed_sources(self) -> list[tuple[str, Source]]:
        """See `CorpusSection.keyed_sources`."""
        return [(self.key, self)]

    @property
    def key(self) -> str:
        """See `CorpusSection.key`."""
        return "active_learning"


@dataclass(frozen=True)
class Returned:
    """What came back of a round.

    Attributes:
        artifact: the tables of its images and labels.
        labelled: ids of the images that somebody has labelled, normal ones included, sorted.
        boxes: labelled objects.
        normal: images labelled as free of defects.
        missing: names of the images that nobody has labelled yet.
    """

    artifact: Artifact
    labelled: tuple[str, ...]
    boxes: int
    normal: int
    missing: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Changes with any label."""
        return labels_digest(CorpusTables(self.artifact.directory).labels(), self.labelled)


def keep_labels(folder: Path) -> bool:
    """Copy what came back to `kept`, beside links to the images that were asked for.

    A tool's export without images is read beside those that went out; one with images, as it is.

    Args:
        folder: the round's local folder.

    Returns:
        Whether anything came back.

    Raises:
        UserError: the folder can't be read or written.
    """
    source, target, work = folder / LABELLED, folder / KEPT, folder / f".{KEPT}"
    try:
        files = [path for path in _files(source) if not any(part.startswith(".") for part in path.parts)]
        if not files:
            return False
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        images = source if any(_is_image(path) for path in files) else folder / TO_LABEL
        pictures = [path for path in (files if images == source else _files(images)) if _is_image(path)]
        for path in pictures:
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            if (images / path).is_symlink():
                (work / path).symlink_to((images / path).resolve())
            else:  # a copy, which may be cleared away some day
                shutil.copy2(images / path, work / path)
        for path in files:
            if not _is_image(path):
                (work / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / path, work / path)  # with its time, by which it is known again
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"The labels in {source} can't be kept ({reason}); mend that and run again."
        ) from None
    return True


def _files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def read_returned(
    folder: Path,
    asked: Sequence[Mapping[str, str]],
    *,
    layout: str,
    category: str,
    base: CorpusSection,
    classes: Sequence[str],
    site: Site,
) -> Returned:
    """Read the kept labels of a round, and refuse what can't be meant.

    Args:
        folder: the round's local folder, see `keep_labels`.
        asked: `image_id` and `uri` of the images that were asked for.
        layout: dataset layout, or `auto`.
        category: the images' category.
        base: the project's own labelled images, whose rules for labels hold here.
        classes: names that a label may have.
        site: workspace and tracking run.

    Raises:
        UserError: labels of images that nobody asked for, images that changed, labels that can't be read or
            are in no place of the layout, unknown classes.
    """
    section = ReturnedSection(
        root=str(folder / KEPT),
        layout=layout,
        category=category,
        crowds=base.keyed_sources()[0][1].crowds,
        follow_links=True,
        reference_count=0,
        near_duplicate_distance=base.near_duplicate_distance,
        max_bad_share=1.0,  # any fault is told below
        bad_labels=base.bad_labels,
    )
    images = CorpusImages(Listing(section), frozenset())
    made = build_corpus(section, images, site=site, stage="returned", key=section.key)
    tables = CorpusTables(made.directory)
    _refuse_faults(made, folder)
    _refuse_unread(made, folder)
    labels = tables.labels()
    uris = {row["image_id"]: row["uri"] for row in tables.manifest(columns=("image_id", "uri"))}
    wanted = {row["image_id"]: PurePosixPath(row["uri"]).name for row in asked}
    _refuse_strangers(uris, wanted, folder)
    _refuse_classes(labels, classes, uris, folder)
    done = sorted(set(labels) & set(wanted))
    return Returned(
        artifact=made,
        labelled=tuple(done),
        boxes=sum(len(labels[one]["boxes"]) for one in done),
        normal=sum(not labels[one]["boxes"] and not labels[one]["ignored"] for one in done),
        missing=tuple(sorted(name for one, name in wanted.items() if one not in labels)),
    )


def _refuse_faults(made: Artifact, folder: Path) -> None:
    """Refuse labels of no image and labels or images that can't be read."""
    faults = made.directory.read_table("bad_labels.parquet").to_pylist()
    bad, what = [described(row) for row in faults if row["action"] != USED], "labels"
    if not bad:  # an image whose label can't be read is in quarantine too
        lost = made.directory.read_table("quarantine.parquet").to_pylist()
        bad, what = [f"{row['uri']}: {row['reason']}" for row in lost], "images"
    if bad:
        kept, place = str(folder / KEPT), str(folder / LABELLED)
        raise UserError(
            f"{len(bad)} {what} in {place} belong to no image that was asked for, or can't be read "
            f"({bad[0].replace(kept, place)}); correct or remove them and run again."
        )


def _refuse_unread(made: Artifact, folder: Path) -> None:
    """Refuse files of which not one was read as a label, though they look like some."""
    counts = made.results
    if counts["passed_over"] and not counts["labelled"]:
        raise UserError(
            f"{counts['passed_over']} files in {folder / LABELLED} may hold labels "
            f"({counts['passed_over_files']}), but none is where the layout {counts['layout']} has them; put "
            "them as the tool's export has them, or name the layout by active_learning.layout."
        )


def _refuse_strangers(uris: Mapping[str, str], wanted: Mapping[str, str], folder: Path) -> None:
    """Refuse images that nobody asked for, and such as are no longer what they were."""
    names = set(wanted.values())
    strangers = sorted(PurePosixPath(uri).name for one, uri in uris.items() if one not in wanted)
    changed = [name for name in strangers if name in names]
    if changed:
        raise UserError(
            f"{len(changed)} images are not what they were when labels were asked for ({changed[0]}), so "
            "nobody knows what was labelled; put the originals back, or export the labels without images."
        )
    if strangers:
        raise UserError(
            f"{folder / LABELLED} holds {len(strangers)} images that nobody asked for ({strangers[0]}); "
            f"only those in {folder / TO_LABEL} are labelled in this round: remove the others."
        )
    gone = sorted(wanted[one] for one in wanted if one not in uris)
    if gone and not _brings_images(folder):
        raise UserError(
            f"{len(gone)} images that labels were asked for are gone ({gone[0]}); put them back and run "
            "again."
        )


def _brings_images(folder: Path) -> bool:
    """Whether images came back with the labels, which may be those of some alone."""
    return any(_is_image(path) for path in _files(folder / LABELLED))


def _refuse_classes(
    labels: Mapping[str, Any], classes: Sequence[str], uris: Mapping[str, str], folder: Path
) -> None:
    """Refuse names that the model does not know."""
    counts = Counter(box["label"] for row in labels.values() for box in row["boxes"])
    unknown = sorted(set(counts) - set(classes))
    if unknown:
        name = unknown[0]
        where = next(
            uris[one] for one, row in labels.items() if any(box["label"] == name for box in row["boxes"])
        )
        raise UserError(
            f'{counts[name]} boxes in {folder / LABELLED} have the class "{name}" '
            f"({PurePosixPath(where).name}), which the model does not know ({nearest(name, classes)}); a new "
            f"class is added by active_learning.classes=[{name}]."
        )
