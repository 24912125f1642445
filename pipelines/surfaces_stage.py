"""The stage that writes a corpus of generated surfaces, so that a demo needs no data."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from cluster.config import Section
from cluster.errors import nearest
from cluster.stages import Artifact, Workbench, ensure
from cluster.storage import Storage
from cluster.tracking import PipelineRun
from pipelines.surfaces.categories import CATEGORIES
from pipelines.surfaces.generator import write_corpus

IMAGES = "images"


class GenerateSection(Section):
    """What to generate.

    Attributes:
        seed: of textures and defects.
        images_per_category: images of each object category, references included.
        size: side in pixels.
        defect_share: share of images with a defect.
        categories: object categories; None takes all.
    """

    seed: int = Field(default=7, ge=0, lt=2**31)
    images_per_category: int = Field(default=60, ge=8, le=100_000)
    size: int = Field(default=160, ge=32, le=4096)
    defect_share: float = Field(default=0.5, ge=0, le=1)
    categories: tuple[str, ...] | None = Field(default=None, min_length=1)

    @field_validator("categories")
    @classmethod
    def _known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in names or ():
            if name not in CATEGORIES:
                raise ValueError(f'no generated surface category "{name}"; {nearest(name, CATEGORIES)}')
        return names


def generate_surfaces(section: GenerateSection, *, workspace: Storage, pipeline: PipelineRun) -> Artifact:
    """Write the generated images with masks below `images/` of the artifact (layout `masks`)."""

    def body(bench: Workbench) -> Mapping[str, Any]:
        if bench.directory.is_local:
            return write(Path(bench.directory.path) / IMAGES)
        with tempfile.TemporaryDirectory() as folder:
            counts = write(Path(folder))
            bench.directory.put(Path(folder), IMAGES)
        return counts

    def write(folder: Path) -> Mapping[str, Any]:
        write_corpus(
            folder,
            seed=section.seed,
            images_per_category=section.images_per_category,
            size=section.size,
            defect_share=section.defect_share,
            categories=list(section.categories) if section.categories is not None else None,
        )
        return {"files": sum(1 for path in folder.rglob("*.png"))}

    return ensure(
        "surfaces",
        workspace=workspace,
        pipeline=pipeline,
        config=section.model_dump(mode="json"),
        inputs={},
        body=body,
    )
