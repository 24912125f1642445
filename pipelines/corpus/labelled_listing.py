"""The images and labels of finetuning, before any is read."""

from cluster.errors import UserError
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import LabelledDataSection


def list_labelled(section: LabelledDataSection) -> Listing:
    """List the images of `finetune.data`, before any is read.

    Raises:
        UserError: see `Listing`; no image has a label.
    """
    listing = Listing(section.as_corpus())
    for source in listing.sources:
        if not any(entry.labelled for entry in source.entries):
            raise UserError(
                f"{source.source.root} holds no labels that the layout {source.layout} knows; set "
                f"{source.key}.layout, or give the folder of images and labels together."
            )
    return listing
