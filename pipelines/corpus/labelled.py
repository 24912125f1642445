"""A finetuning's own labelled images, beside or instead of the corpus' labels."""

from cluster.errors import UserError
from cluster.stages import Artifact, Site
from pipelines.corpus.labelled_listing import list_labelled
from pipelines.corpus.section import KEY, LabelledDataSection
from pipelines.corpus.stage import CorpusImages, build_corpus
from pipelines.tables import CorpusTables

SHOWN = 3


def build_labelled(section: LabelledDataSection, *, site: Site) -> Artifact:
    """The `labels` stage: inspected images, split, labels and faults, in the tables of a corpus.

    Raises:
        UserError: see `list_labelled` and `build_corpus`.
    """
    listing = list_labelled(section)
    test = None
    if section.test.root:
        held_out = listing.sources[1]
        test = frozenset(held_out.uri(entry) for entry in held_out.entries)
    return build_corpus(section.as_corpus(), CorpusImages(listing, test), site=site, stage="labels", key=KEY)


def check_unseen(labelled: Artifact, corpus: Artifact) -> None:
    """Refuse test images that pretraining has seen, byte for byte.

    Args:
        labelled: artifact of `build_labelled`.
        corpus: artifact of the corpus that pretraining used.

    Raises:
        UserError: pretraining has seen a test image; names some.
    """
    columns = ("image_id", "uri", "split")
    rows = CorpusTables(corpus.directory).manifest(columns=columns)
    seen = {row["image_id"]: row["uri"] for row in rows if row["split"] != "test"}
    tested = CorpusTables(labelled.directory).manifest(split="test", columns=columns)
    both = [(row["uri"], seen[row["image_id"]]) for row in tested if row["image_id"] in seen]
    if both:
        examples = "; ".join(f"{test} is {corpus_uri}" for test, corpus_uri in both[:SHOWN])
        more = "; …" if len(both) > SHOWN else ""
        raise UserError(
            f"Pretraining has seen {len(both)} of the test images ({examples}{more}), so "
            "a gain could not be told from memory; take them out of the corpus, or run "
            '"agssp corpus check --against FOLDER" to find near-duplicates too.'
        )
