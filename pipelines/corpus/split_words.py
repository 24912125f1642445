"""What moves images from one side of a corpus' split to the other, in words for messages."""

from typing import Literal

from cluster.stages import Artifact
from pipelines.corpus.section import KEY


def split_advice(corpus: Artifact, wanted: Literal["test", "train"]) -> str:
    """How to get more images on a side.

    Args:
        corpus: artifact of `build_corpus` or `build_labelled`.
        wanted: the side that has too few.
    """
    key = KEY if corpus.stage == "labels" else "corpus"
    if corpus.record["config"].get("split") == "published":
        return f"set {key}.split=content ({key}.split=published takes the split as it is published)"
    return f"{'raise' if wanted == 'test' else 'lower'} {key}.test_share"
