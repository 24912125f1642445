from .categories import CATEGORIES
from .defects import DEFECTS
from .generator import NORMAL, generate, write_corpus
from .section import GenerateSection
from .stage import generate_surfaces

__all__ = [
    "CATEGORIES",
    "DEFECTS",
    "NORMAL",
    "GenerateSection",
    "generate",
    "generate_surfaces",
    "write_corpus",
]
