"""The labels that a round learns from: the project's own and those that came back, the held-out part kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.errors import UserError
from cluster.stages import Artifact, Site
from cluster.storage import Storage
from pipelines.corpus import CorpusImages, CorpusSection, Listing, Source, build_corpus
from pipelines.tables import CorpusTables
from training.export import labels_digest

HELD_OUT = "held_out.json"
SHOWN = 3


class GrownSection(CorpusSection):
    """A project's labelled images, and after them those of every round.

    Attributes:
        levels_of: by source, the place of the one whose images give it its levels.
    """

    levels_of: tuple[int, ...] = ()

    def levels_source(self, place: int) -> int:
        """See `CorpusSection.levels_source`."""
        return self.levels_of[place]


def grown_section(base: CorpusSection, folders: Sequence[Path], layout: str, category: str) -> GrownSection:
    """The sources of a project with those of its rounds.

    Args:
        base: the project's labelled images.
        folders: labels and images of each round.
        layout: their dataset layout.
        category: their category.
    """
    own = [source for _, source in base.keyed_sources()]
    plain = [Source(**{name: getattr(one, name) for name in Source.model_fields}) for one in own]
    later = [
        Source(root=str(folder), layout=layout, category=category, follow_links=True, crowds=own[0].crowds)
        for folder in folders
    ]
    return GrownSection(
        sources=(*plain, *later),
        reference_count=base.reference_count,
        near_duplicate_distance=base.near_duplicate_distance,
        max_bad_share=base.max_bad_share,
        bad_labels=base.bad_labels,
        levels_of=(*(base.levels_source(place) for place in range(len(own))), *[0] * len(later)),
    )


def held_out_digest(labelled: Artifact) -> str:
    """Digest of the held-out images and what is labelled in them, as evaluations have it."""
    tables = CorpusTables(labelled.directory)
    labels = tables.labels()
    return labels_digest(labels, sorted(tables.held_out() & set(labels)))


def keep_held_out(loop: Storage, labelled: Artifact, *, begun: bool) -> Mapping[str, Any]:
    """The images that every version of a loop is judged on: those of its first round, for good.

    Args:
        loop: the loop's folder, where `held_out.json` is.
        labelled: artifact of the project's labelled images.
        begun: whether labels were asked for already; until then the project's held-out images are taken.

    Returns:
        `uris` of the images and the `digest` of what they show and is labelled in them.

    Raises:
        UserError: no held-out image with a labelled defect, a file that is damaged or gone.
    """
    if begun:
        try:
            kept: dict[str, Any] = loop.read_json(HELD_OUT)
            kept["uris"], kept["digest"]
        except (FileNotFoundError, ValueError, RecursionError, TypeError, KeyError):
            raise UserError(
                f"{loop.uri_of(HELD_OUT)} is damaged or gone; restore it from a backup, or remove {loop.uri} "
                "to begin the loop anew."
            ) from None
        return kept
    tables = CorpusTables(labelled.directory)
    rows, boxes = tables.manifest(split="test"), tables.boxes()
    if not any(boxes.get(row["image_id"]) for row in rows):
        raise UserError(
            "No image with a labelled defect is held out, so no version can be judged; hold some out by "
            "test_share, or give finetune.data.test."
        )
    kept = {"uris": sorted(row["uri"] for row in rows), "digest": held_out_digest(labelled)}
    loop.write_json(HELD_OUT, kept)
    return kept


def grown_labels(
    section: GrownSection,
    kept: Mapping[str, Any],
    *,
    site: Site,
    made_by: Artifact | None,
    key: str,
) -> Artifact:
    """A `labels` stage of all labels known, its test split the held-out images.

    Near-duplicates of those are left out, and listed in `left_out.parquet`.

    Args:
        section: result of `grown_section`.
        kept: result of `keep_held_out`.
        site: workspace and tracking run.
        made_by: the artifact that holds the project's images; None where no stage made them.
        key: dotted path of the project's own labelled images, for messages.

    Raises:
        UserError: see `build_corpus`; held-out images or their labels changed since the loop began.
    """
    images = CorpusImages(Listing(section), frozenset(kept["uris"]), made_by, apart=True)
    made = build_corpus(section, images, site=site, stage="labels", key=key)
    if held_out_digest(made) != kept["digest"]:
        rows = CorpusTables(made.directory).manifest(split="test")
        gone = sorted(set(kept["uris"]) - {row["uri"] for row in rows})
        named = f" ({', '.join(gone[:SHOWN])}{', …' if len(gone) > SHOWN else ''})" if gone else ""
        raise UserError(
            f"Held-out images or their labels are not those that the loop began with{named}, so versions "
            "could not be compared; put them back as they were, or begin the loop anew under another name."
        )
    return made
