"""What given weights had learnt from, nobody knows; of published and shipped ones it is no secret."""

from typing import Any

import pytest

from training.certificate.leak import Leak, untold_starts
from training.starts.shipped import surface_digest

DIGEST = "cd" * 32


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        ({"finetune": {"config": {"start": "ours"}, "extra": {"weights": DIGEST}}}, ["finetune"]),
        ({"finetune": {"config": {"start": "coco"}, "extra": {"weights": DIGEST}}}, ["finetune"]),  # a file
        ({"finetune": {"config": {"start": "coco"}, "extra": {"weights": f"coco:{DIGEST}"}}}, []),
        ({"finetune": {"config": {"start": "surface"}, "extra": {"weights": DIGEST}}}, []),
        ({"finetune": {"config": {"start": "scratch"}, "extra": {}}}, []),
        ({"backbone": {"extra": {"start": "scratch"}}, "detector": {"extra": {}}}, []),
        ({"backbone": {"extra": {"start": f"imagenet:{DIGEST}"}}}, []),
        ({"backbone": {"extra": {"start": DIGEST}}, "detector": {"extra": {"weights": DIGEST}}},
         ["backbone", "detector"]),
        ({"detector": {"extra": {"weights": surface_digest()}}}, []),
        ({"finetune": {"extra": None, "config": 3}, "maps": {"extra": {"weights": DIGEST}}}, []),
    ],
)  # fmt: skip
def test_stages_that_began_with_given_weights(stages: dict[str, Any], told: list[str]) -> None:
    assert [one.partition(":")[0] for one in untold_starts(stages)] == told


def test_a_check_that_could_not_follow_the_weights_is_not_clean() -> None:
    checked = Leak(frozenset(), 0, 0, 12, {"corpus": "f"}, ())
    assert (checked.known, "NOT checked" in checked.sentence(5)) == (True, False)
    given = Leak(frozenset(), 0, 0, 12, {"corpus": "f"}, (), ("finetune: SHA-256 cd",))
    assert not given.known
    assert "NOT checked: what the weights that it began with (finetune: SHA-256 cd)" in given.sentence(5)
