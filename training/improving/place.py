"""Where a loop's rounds are, and where it stands by their records; no library of models is needed."""

from cluster.storage import Storage
from training.active_learning import PAGE_FILE, STAGE, Standing, read_rounds, standing_of
from training.export import model_name
from training.project import Project


def improved_model(project: Project) -> str:
    """Name of the registered model that a project's loop makes better."""
    return model_name(project.name, "finetune", project.finetune.name)


def loop_folder(project: Project, workspace: Storage) -> Storage:
    """Where a loop's rounds and its page are."""
    return workspace.at(STAGE, improved_model(project))


def standing(project: Project, workspace: Storage) -> Standing:
    """Where a project's loop stands, by its records alone.

    Raises:
        UserError: a record can't be read.
    """
    folder = loop_folder(project, workspace)
    page = folder.uri_of(PAGE_FILE)
    return standing_of(read_rounds(folder), improved_model(project), project.active_learning.alias, page)
