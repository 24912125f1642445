"""The evaluate stage's figures of one detector, as the report shows them."""

from cluster.stages import Artifact
from training.metrics import BACKGROUND
from training.report.data import DetectorFigures

BUCKETS = ("small", "medium", "large", "map75", "recall")
COST = ("parameters", "gflops", "fps", "peak_memory_mib", "device")


def detector_figures(evaluated: Artifact) -> DetectorFigures:
    """Size buckets, curves, confusion and cost, read from an evaluate artifact."""
    results = evaluated.results
    curves: dict[str, list[float]] = {}
    for row in evaluated.directory.read_table("curves.parquet").to_pylist():
        curves.setdefault(row["name"], []).append(row["precision"])
    cells = {
        (row["truth"], row["found"]): row["count"]
        for row in evaluated.directory.read_table("confusion.parquet").to_pylist()
    }
    names = [*results["classes"], BACKGROUND]
    return DetectorFigures(
        buckets={name: results[name] for name in BUCKETS},
        curves=curves,
        map50={name: row["map50"] for name, row in results["classes"].items() if row},
        names=names,
        confusion=[[cells.get((truth, found), 0) for found in names] for truth in names],
        cost={name: results[name] for name in COST},
    )
