"""Workers that fit the nodes, or a clear refusal."""

import pytest

from cluster.errors import UserError
from training.loop.scaling import worker_resources
from training.loop.section import ScalingSection

Nodes = list[dict[str, float]]


@pytest.mark.parametrize(
    ("section", "nodes", "expected"),
    [
        ({}, [{"CPU": 2}], {"CPU": 2}),
        ({"workers": 2}, [{"CPU": 2}], {"CPU": 1}),
        ({"workers": 2}, [{"CPU": 2}, {"CPU": 16}], {"CPU": 8}),
        ({}, [{"CPU": 8}, {"CPU": 8}], {"CPU": 8}),
        ({"workers": 3}, [{"CPU": 8}, {"CPU": 8}], {"CPU": 4}),
        ({"workers": 2, "cpus_per_worker": 0.5}, [{"CPU": 1}], {"CPU": 0.5}),
        ({"workers": 2}, [{"CPU": 8, "GPU": 2}], {"CPU": 4, "GPU": 1}),
        ({"workers": 2}, [{"CPU": 8, "GPU": 1}, {"CPU": 4, "GPU": 1}], {"CPU": 4, "GPU": 1}),
        ({"workers": 2}, [{"CPU": 8, "GPU": 1}], {"CPU": 4}),
        ({"gpu": False}, [{"CPU": 8, "GPU": 1}], {"CPU": 8}),
    ],
)
def test_resources_fit(section: dict[str, object], nodes: Nodes, expected: dict[str, float]) -> None:
    assert worker_resources(ScalingSection.model_validate(section), nodes) == expected


@pytest.mark.parametrize(
    ("section", "nodes", "message"),
    [
        ({"workers": 3}, [{"CPU": 2}], r"scaling\.workers=3 with a CPU each don't fit .*\(CPUs: 2\)"),
        ({"cpus_per_worker": 4}, [{"CPU": 2}, {"CPU": 2}], "with 4 CPUs each don't fit"),
        ({"gpu": True}, [{"CPU": 2}], r"needs as many GPUs, and the cluster has 0"),
    ],
)
def test_what_does_not_fit_is_refused(section: dict[str, object], nodes: Nodes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        worker_resources(ScalingSection.model_validate(section), nodes)
