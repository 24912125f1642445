from .choosing import Chosen, Pool, category_ranks, choose
from .disagreement import box_disagreement
from .embedding_rows import EMBEDDINGS_FOLDER
from .embedding_stage import embed_images, read_embeddings
from .section import NextSection
from .sources import ChoiceSources
from .stage import CHOSEN_BOXES, PreAnnotations, choose_images
from .stored import CHOSEN_FILE, Place, newest_choice

__all__ = [
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
    "newest_choice",
    "read_embeddings",
]
