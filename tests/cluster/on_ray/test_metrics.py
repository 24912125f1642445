"""Our metrics, scraped from Ray's own Prometheus endpoint."""

import time
import urllib.request
from importlib import resources
from pathlib import Path

import pytest

from cluster.on_ray.metrics import METRICS, record, record_standing
from cluster.progress import Standing

SECONDS = 180
EXPORTED = ("units_done", "units_per_second", "quarantined", "training")  # not all at the same moment


def test_without_ray_nothing_is_kept_and_nothing_fails() -> None:
    record("agssp_quarantined", 3, stage="maps")
    record_standing(Standing("maps", 1))


def test_every_metric_is_documented() -> None:
    page = (Path(str(resources.files("cluster"))) / "deploy" / "README.md").read_text()
    for name, (_, labels) in METRICS.items():
        (line,) = [line for line in page.splitlines() if f"`ray_{name}`" in line]
        assert all(f"`{label}`" in line for label in labels)


@pytest.mark.ray
def test_a_scrape_finds_them(ray_cluster: None) -> None:
    import ray

    record_standing(Standing("maps: kead", 120, 500, 12.5, 30))
    record("agssp_quarantined", 3, stage="maps")
    record("agssp_training", 0.25, step="a scrape", figure="loss")
    record("agssp_training", float("nan"), step="a scrape", figure="map50")
    (node,) = ray.nodes()  # type: ignore[no-untyped-call]
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    deadline, text = time.monotonic() + SECONDS, ""
    while not all(f"ray_agssp_{name}{{" in text for name in EXPORTED):
        assert time.monotonic() < deadline, "Ray did not export the metrics"
        time.sleep(0.5)
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
    values = {
        line.split("{")[0] + "|" + part: line.rsplit(" ", 1)[1]
        for line in text.splitlines()
        if line.startswith("ray_agssp") and ("training" not in line or 'step="a scrape"' in line)
        for part in line.split('"')
        if part in ("maps: kead", "maps", "loss", "map50")
    }
    assert float(values["ray_agssp_units_done|maps: kead"]) == 120
    assert float(values["ray_agssp_units_per_second|maps: kead"]) == 12.5
    assert float(values["ray_agssp_quarantined|maps"]) == 3
    assert float(values["ray_agssp_training|loss"]) == 0.25
    assert "ray_agssp_training|map50" not in values
