"""The sentence of the curve ends once, whatever sizes it can tell."""

import pytest

from training.certificate.pod import Pod
from training.certificate.words import pod_sentence

BEYOND = "not told: the curve reaches 90% beyond the largest defect."


@pytest.mark.parametrize(
    ("sizes", "reasons", "said"),
    [
        ({"a50": 3.0, "a90": 5.0, "a90_95": 6.0}, {}, "a50 = 3 mm; a90 = 5 mm; a90/95 = 6 mm."),
        (
            {"a50": 3.0, "a90": None, "a90_95": None},
            {"a90": BEYOND, "a90_95": BEYOND},
            f"a50 = 3 mm; a90 {BEYOND[:-1]}; a90/95 {BEYOND}",
        ),
    ],
)
def test_the_sentence_of_the_sizes(
    sizes: dict[str, float | None], reasons: dict[str, str], said: str
) -> None:
    pod = Pod(80, 40, object(), "", sizes, reasons)  # type: ignore[arg-type]
    assert pod_sentence(pod, "mm") == f"Probability of detection by size: {said}"
