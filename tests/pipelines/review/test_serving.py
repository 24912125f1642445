"""What `agssp view` refuses before it opens anything."""

from pathlib import Path

import pytest

from cluster.errors import UserError
from pipelines.review.serving import review_server
from training.project import Project


@pytest.mark.parametrize("rule", ["standardised", "hysteresis"])
def test_boxes_that_the_page_would_draw_otherwise_are_refused(tmp_path: Path, rule: str) -> None:
    project = Project.model_validate({"workspace": str(tmp_path), "boxes": {"rule": rule}})
    with pytest.raises(UserError, match=f"boxes.rule=paper alone, and here boxes.rule={rule}"):
        review_server(project)
    assert not list(tmp_path.iterdir())
