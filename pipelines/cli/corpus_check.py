"""The figures of `agssp corpus`, and the check that pretraining never saw an evaluation image."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cluster.cli.command import USER_AT_FAULT, out, render_table
from cluster.config import validate
from cluster.errors import UserError
from cluster.stages import Artifact
from cluster.storage import Storage
from pipelines.corpus import EXACT, NEAR, CorpusSection, HashedImage, Listing, hash_images
from pipelines.corpus.contamination import contamination
from pipelines.tables import CorpusTables

STATISTICS = "statistics"


def statistics_of(corpus: Artifact) -> list[dict[str, Any]]:
    """The figures of each category, as `pipelines.corpus.statistics` has them."""
    rows: list[dict[str, Any]] = corpus.directory.read_table("statistics.parquet").to_pylist()
    return rows


# What a message about the evaluation folder must name in the place of the corpus' keys.
OPTIONS = {"corpus.root": "--against", "corpus.layout": "--layout"}


def check_listing(against: str, layout: str, *, follow_links: bool = False) -> list[str]:
    """The images of an evaluation folder.

    Args:
        against: folder or URI.
        layout: name of a dataset layout, or `auto`.
        follow_links: the corpus' own setting, which counts for this folder too.

    Returns:
        Their URIs, masks left out.

    Raises:
        UserError: no such folder or layout, no image.
    """
    try:
        settings = {"root": against, "layout": layout, "follow_links": follow_links}
        listing = Listing(validate(CorpusSection, settings, "Options"))
    except UserError as error:
        sentence = str(error)
        for key, option in OPTIONS.items():
            sentence = sentence.replace(key, option)
        raise UserError(f"--against {against}: {sentence}") from None
    uris: list[str] = listing.table().column("uri").to_pylist()
    return uris


def check_corpus(corpus: Artifact, limit: int, evaluation: list[str] | None) -> Mapping[str, Any]:
    """Compare evaluation images with those that pretraining sees.

    Args:
        corpus: the corpus artifact.
        limit: `corpus.near_duplicate_distance`.
        evaluation: URIs of evaluation images; None for the corpus' own held-out split.

    Returns:
        JSON-able: `clean`, counts, every pair and every evaluation image that can't be read.

    Raises:
        UserError: there is no held-out split.
    """
    manifest = _hashed(corpus.directory)
    pretraining = [image for image, split in manifest if split != "test"]
    unreadable: list[dict[str, str]] = []
    if evaluation is None:
        evaluated = [image for image, split in manifest if split == "test"]
        if not evaluated:
            raise UserError(
                "The corpus holds out no image (it has no labels, or corpus.test_share=0); name a folder of "
                "evaluation images with --against FOLDER."
            )
    else:
        evaluated, unreadable = hash_images(evaluation)
    matches = contamination(evaluated, pretraining, limit)
    return {
        "clean": not matches and not unreadable,
        "corpus": corpus.directory.uri,
        "distance": limit,
        "evaluated": len(evaluated),
        "pretraining": len(pretraining),
        EXACT: sum(match.kind == EXACT for match in matches),
        NEAR: sum(match.kind == NEAR for match in matches),
        "pairs": [asdict(match) for match in matches],
        "unreadable": unreadable,
    }


def _hashed(corpus: Storage) -> list[tuple[HashedImage, str]]:
    tables = CorpusTables(corpus)
    hashes = tables.hashes()
    return [
        (HashedImage(row["uri"], row["image_id"], hashes[row["image_id"]]), row["split"])
        for row in tables.manifest(columns=("image_id", "uri", "split"))
    ]


def check_exit_code(result: Mapping[str, Any]) -> int:
    """0 for a clean corpus, else 2."""
    return 0 if result["clean"] else USER_AT_FAULT


def render_check(result: Mapping[str, Any]) -> None:
    """Print the pairs and the verdict for a person; paths are never cut or wrapped, so they can be copied."""
    if result["pairs"]:
        _line("kind   distance  evaluation image → pretraining image")
    for pair in result["pairs"]:
        _line(f"{pair['kind']:5}  {pair['distance']:8}  {pair['uri']} → {pair['pretraining_uri']}")
    for row in result["unreadable"]:
        _line(f"can't be read: {row['uri']}: {row['reason']}")
    many = f"{result['evaluated']} evaluation images"
    if result["clean"]:
        _line(
            f"Clean: none of the {many}, and no near-duplicate of one, is among the "
            f"{result['pretraining']} images of pretraining."
        )
        return
    unknown = f"; {len(result['unreadable'])} can't be read" if result["unreadable"] else ""
    _line(
        f"Not clean: pretraining sees {result[EXACT]} of the {many}, and near-duplicates of {result[NEAR]} "
        f"more{unknown}. Take them out of the corpus or out of the evaluation."
    )


def render_corpus(result: Mapping[str, Any]) -> None:
    """Print the corpus' figures for a person: the stage's, then each category's."""
    render_table({name: value for name, value in result.items() if name != STATISTICS})
    for row in result[STATISTICS]:
        _line(f"{row['category']}: {_figures(row)}")
    counts, where = result["results"], result["directory"]
    if counts["quarantined"]:
        _line(f"Images left out: {counts['quarantined']}; {where}/quarantine.parquet says why")
    if listed := counts["bad_labels"] + counts["doubtful_images"]:
        _line(f"Labels at fault, images in doubt: {listed}; {where}/bad_labels.parquet lists them")


def _figures(row: Mapping[str, Any]) -> str:
    from pipelines.corpus import COUNTED  # brings pandas

    counts = ", ".join(f"{name} {row[name]}" for name in COUNTED[1:])
    if not row["images"]:
        return f"0 images ({counts})"
    return (
        f"{row['images']} images ({counts}), {row['labelled_share']:.0%} labelled, "
        f"{_span(row, 'width')} × {_span(row, 'height')} pixels, "
        f"grey level {row['grey_mean']:.0f} ± {row['grey_deviation']:.0f}"
    )


def _span(row: Mapping[str, Any], side: str) -> str:
    low, middle, high = (row[f"{side}_{what}"] for what in ("min", "median", "max"))
    return f"{low:.0f}" if low == high else f"{low:.0f}–{high:.0f} (median {middle:.0f})"


def _line(text: str) -> None:
    out.print(text, markup=False, soft_wrap=True)
