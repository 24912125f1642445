from .bad_labels import described
from .contamination import EXACT, NEAR, HashedImage, hash_images
from .image_paths import find_images, listing_digest
from .inspected import INSPECTED
from .inspection import inspect
from .known_images import joined_inspection
from .labelled import build_labelled, check_unseen
from .labelled_listing import list_labelled
from .listing import Listing
from .near_duplicates import group_images, nearest, perceptual_hash
from .section import CorpusSection, LabelledDataSection, ReferenceNeed, Source
from .sorting import Corpus
from .split import is_test
from .split_words import split_advice
from .stage import CorpusImages, build_corpus
from .statistics import COUNTED, STATISTICS

__all__ = [
    "COUNTED",
    "EXACT",
    "INSPECTED",
    "NEAR",
    "STATISTICS",
    "Corpus",
    "CorpusImages",
    "CorpusSection",
    "HashedImage",
    "LabelledDataSection",
    "Listing",
    "ReferenceNeed",
    "Source",
    "build_corpus",
    "build_labelled",
    "check_unseen",
    "described",
    "find_images",
    "group_images",
    "hash_images",
    "inspect",
    "is_test",
    "joined_inspection",
    "list_labelled",
    "listing_digest",
    "nearest",
    "perceptual_hash",
    "split_advice",
]
