from .candidates import groups_of
from .choosing import Chosen, Pool, category_ranks, choose
from .disagreement import box_disagreement
from .embedding_rows import EMBEDDINGS_FOLDER, embedded, embedding_schema
from .embedding_stage import embed_images, read_embeddings
from .section import NextSection
from .sources import ChoiceSources, refuse_without_images
from .stage import BOXED, CHOSEN, CHOSEN_BOXES, PreAnnotations, choose_images
from .stored import CHOSEN_FILE, Place, newest_choice

__all__ = [
    "BOXED",
    "CHOSEN",
    "CHOSEN_BOXES",
    "CHOSEN_FILE",
    "EMBEDDINGS_FOLDER",
    "ChoiceSources",
    "Chosen",
    "NextSection",
    "Place",
    "Pool",
    "PreAnnotations",
    "box_disagreement",
    "category_ranks",
    "choose",
    "choose_images",
    "embed_images",
    "embedded",
    "embedding_schema",
    "groups_of",
    "newest_choice",
    "read_embeddings",
    "refuse_without_images",
]
