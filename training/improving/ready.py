"""What is refused before anything is opened or a library of models is imported."""

from pathlib import Path

from cluster.errors import UserError
from pipelines.corpus import find_images
from training.project import Project


def refuse_unready(project: Project) -> None:
    """Refuse folders that can't be meant, before anything is opened.

    Raises:
        UserError: no folder of new images, no image in it, or rounds that would lie among images.
    """
    section = project.active_learning
    if not section.images:
        raise UserError(
            "active_learning.images is not set; give the folder of new images, e.g. "
            "active_learning.images=photos/new."
        )
    find_images(section.images, tell=False)
    roots = {"active_learning.images": section.images}
    roots |= {f"{key}.root": source.root for key, source in project.corpus.keyed_sources() if source.root}
    out = Path(section.out).resolve()
    for key, root in roots.items():
        if "://" not in root and out.is_relative_to(Path(root).resolve()):
            raise UserError(
                f"active_learning.out={section.out} lies in {key}={root}, which would take the rounds' "
                "links for images of its own; choose another folder."
            )
