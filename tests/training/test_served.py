"""What a cluster's own config may say of a served detector."""

from pathlib import Path
from typing import Any

import pytest

from cluster.errors import UserError
from training.project import Project
from training.served import application, refuse_missing_roots
from training.serving.access import TOKEN


@pytest.mark.parametrize(
    "args",
    [{}, {"model": 3}, {"model": "line", "words": "a b"}, {"model": "line", "word": []}],
)
def test_other_arguments_are_refused(args: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="args are model"):
        application(args)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_clusters_detector_needs_a_token(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    with pytest.raises(UserError, match=TOKEN):
        application({"model": "line", "words": [f"workspace={tmp_path}", f"serve.host={host}"]})


def test_a_folder_of_images_that_is_not_here_is_refused(tmp_path: Path) -> None:
    def roots(*folders: str, address: str | None = None) -> Project:
        return Project.model_validate({"serve": {"roots": folders}, "ray": {"address": address}})

    with pytest.raises(UserError, match=r"serve\.roots names .*/gone, which is no folder here"):
        refuse_missing_roots(roots(str(tmp_path), f"{tmp_path}/gone"))
    refuse_missing_roots(roots(str(tmp_path), "s3://plant/images"))
    refuse_missing_roots(roots("/only/on/the/nodes", address="auto"))
