"""The server's figures as Prometheus reads them."""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from training.serving.messages import Standing

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Figures:
    """Counts of one front, and what its replicas said last.

    Args:
        standings: gives the replicas' latest standings.
        waiting: gives the images that wait.
    """

    def __init__(self, standings: Callable[[], Sequence[Standing]], waiting: Callable[[], int]) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "agssp_serve_requests", "Requests by path and HTTP status.", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "agssp_serve_seconds", "Seconds of answered requests.", buckets=SECONDS, registry=registry
        )
        self.images = Counter("agssp_serve_images", "Images answered.", registry=registry)
        self.boxes = Counter("agssp_serve_boxes", "Boxes answered.", registry=registry)
        self.retries = Counter(
            "agssp_serve_retries", "Images asked again after a replica was lost.", registry=registry
        )
        waits = Gauge("agssp_serve_waiting", "Images that wait or are looked at.", registry=registry)
        waits.set_function(waiting)
        registry.register(_Replicas(standings))

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)


class _Replicas(Collector):
    def __init__(self, standings: Callable[[], Sequence[Standing]]) -> None:
        self._standings = standings

    def collect(self) -> Iterator[Metric]:
        standings = self._standings()
        count = GaugeMetricFamily("agssp_serve_replicas", "Replicas heard of lately.")
        count.add_metric([], len(standings))
        yield count
        labels = ["model", "replica"]
        for name, help_, value in _GAUGES:
            gauge = GaugeMetricFamily(f"agssp_serve_{name}", help_, labels=labels)
            for one in standings:
                gauge.add_metric([one.model, one.replica], value(one))
            yield gauge
        for name, help_, value in _COUNTERS:
            counter = CounterMetricFamily(f"agssp_serve_{name}", help_, labels=labels)
            for one in standings:
                counter.add_metric([one.model, one.replica], value(one))
            yield counter


_Value = Callable[[Standing], float]
_GAUGES: tuple[tuple[str, str, _Value], ...] = (
    ("version", "Number of the version that is served.", lambda one: one.version),
    (
        "refused_version",
        "Number of the version that the reference means and that is refused; 0 where there is none.",
        lambda one: one.refused or 0,
    ),
    (
        "registry_readable",
        "1 where the registry could be read last, else 0.",
        lambda one: one.registry,
    ),
)
_COUNTERS: tuple[tuple[str, str, _Value], ...] = (
    ("refusals", "Versions that were refused.", lambda one: one.refusals),
    ("replica_images", "Images detected.", lambda one: one.images),
    ("replica_batches", "Batches detected.", lambda one: one.batches),
    ("replica_seconds", "Seconds spent on batches.", lambda one: one.seconds),
)
