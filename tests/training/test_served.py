"""What a cluster's own config may say of a served detector."""

from pathlib import Path
from typing import Any

import pytest

from cluster.errors import UserError
from training.served import application
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
