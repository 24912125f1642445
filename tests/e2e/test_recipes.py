"""Every shipped recipe is a valid project."""

import pytest

from cluster.config import recipes
from training.commands import project_of


@pytest.mark.parametrize("name", sorted(recipes()))
def test_recipe_is_valid(name: str) -> None:
    project = project_of([f"recipe:{name}"])
    assert project.name == name
    assert project.backbone.name == project.detector.name == project.finetune.name
