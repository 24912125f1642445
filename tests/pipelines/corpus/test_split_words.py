"""How a message tells to move images over the split: by what holds in that corpus."""

from pathlib import Path
from typing import Any, Literal

import pytest

from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from pipelines.corpus.section import CorpusSection
from pipelines.corpus.split_words import split_advice


@pytest.mark.parametrize(
    ("stage", "split", "wanted", "said"),
    [
        ("corpus", "content", "test", "raise corpus.test_share"),
        ("labels", "content", "train", "lower finetune.data.test_share"),
        ("corpus", "published", "test", "set corpus.split=content ("),
        ("labels", "published", "train", "set finetune.data.split=content ("),
    ],
)
def test_the_setting_that_decides_is_named(
    tmp_path: Path, stage: str, split: str, wanted: Literal["test", "train"], said: str
) -> None:
    config: dict[str, Any] = CorpusSection.model_validate({"root": "photos", "split": split}).dump()
    made = Artifact(stage, "f", Storage.open(str(tmp_path)), {"config": config}, reused=False)
    told = split_advice(made, wanted)
    assert told.startswith(said)
    assert ("test_share" in told) == (split == "content")
