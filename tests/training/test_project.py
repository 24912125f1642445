"""The project's seed reaches every training, and the config stays as it was written."""

from training.project import Project


def test_loops_take_the_projects_seed_unless_they_have_their_own() -> None:
    project = Project.model_validate({"seed": 4, "detector": {"loop": {"seed": 9, "epochs": 3}}})
    seeded = project.seeded()
    assert (seeded.backbone.loop.seed, seeded.detector.loop.seed, seeded.finetune.loop.seed) == (4, 9, 4)
    assert type(seeded.backbone.loop) is type(project.backbone.loop)
    # What is reported is the config as written; all but the seeds is the same.
    assert (project.backbone.loop.seed, project.finetune.loop.seed) == (None, None)
    written, taken = project.model_dump(), seeded.model_dump()
    for name in ("backbone", "finetune"):
        written[name]["loop"]["seed"] = 4
    assert taken == written


def test_another_project_seed_is_not_held_by_loops() -> None:
    """Studies copy a project with other seeds."""
    project = Project(seed=1)
    assert project.model_copy(update={"seed": 2}).seeded().backbone.loop.seed == 2
