"""Where images come from: one root, or several, each with its layout and categories."""

from pydantic import Field, field_validator

from cluster.config import Section
from pipelines.layouts import AUTO, LAYOUTS


class Source(Section):
    """One folder of images and how to read it.

    Attributes:
        root: folder or object-storage URI.
        layout: name of a dataset layout, or `auto`.
        category: of all its images, whatever the layout says; empty leaves that to the layout.
        categories: other names for single categories of the layout (folders, as a rule).
        references: relative paths of normal images by category (as it is called after renaming); a category
            that no source names takes `reference_count` of the images its layout marks as normal, by hash.
    """

    root: str = ""
    layout: str = AUTO
    category: str = Field(default="", max_length=100)
    categories: dict[str, str] = Field(default={})
    references: dict[str, tuple[str, ...]] = Field(default={})

    @field_validator("layout")
    @classmethod
    def _known(cls, name: str) -> str:
        if name != AUTO and name not in LAYOUTS:
            raise ValueError(f"no such dataset layout; valid: {AUTO}, {', '.join(sorted(LAYOUTS))}")
        return name

    @field_validator("category")
    @classmethod
    def _written(cls, name: str) -> str:
        if name != name.strip() or not name.isprintable():
            raise ValueError("a category is printable text without space around it")
        return name

    @field_validator("categories")
    @classmethod
    def _named(cls, names: dict[str, str]) -> dict[str, str]:
        if any(not name.strip() or name != name.strip() or not name.isprintable() for name in names.values()):
            raise ValueError("a category is printable text without space around it")
        return names
