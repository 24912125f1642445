"""Where images come from: one root, or several, each with its layout and categories."""

from collections.abc import Mapping
from typing import Any

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
        references: normal images by category (as it is called after renaming): paths below the root, a
            folder or glob there, or the full path or URI of a folder elsewhere (see `references.look_up`). A
            category that no source names takes `reference_count` of the images its layout marks as normal, by
            hash; `agssp references` proposes some where there are none.
        follow_links: whether links below a local root may lead out of it, as those of a link farm do.
    """

    root: str = ""
    layout: str = AUTO
    category: str = Field(default="", max_length=100)
    categories: dict[str, str] = Field(default={})
    references: dict[str, tuple[str, ...]] = Field(default={})
    follow_links: bool = False

    @field_validator("layout")
    @classmethod
    def _known(cls, name: str) -> str:
        if name != AUTO and name not in LAYOUTS:
            raise ValueError(f"no such dataset layout; valid: {AUTO}, {', '.join(sorted(LAYOUTS))}")
        return name

    @field_validator("references", mode="before")
    @classmethod
    def _items(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        listed = {name: (items,) if isinstance(items, str) else items for name, items in given.items()}
        for name, items in listed.items():
            if isinstance(items, list | tuple) and "auto" in items:
                raise ValueError(
                    f'{name}: "auto" is not used unseen; run "agssp references CONFIG", look at its page and '
                    "put the paths that it prints here"
                )
        return listed

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
