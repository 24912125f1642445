"""The export stage: a detector as ONNX and as its library's own file, a backbone as the latter."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.stages import Artifact, Site, Workbench, ensure
from training.export.backbone_export import export_backbone
from training.export.native_file import write_native
from training.export.onnx_export import contract, export_onnx
from training.starts import KIND as BACKBONE, ModelSource, load_detector
from training.weights import load_weights

STEM = "detector"
ONNX_FILE, CONTRACT_FILE = f"{STEM}.onnx", "contract.json"


def export_model(*, model: ModelSource, site: Site) -> Artifact:
    """Export a file of weights as what it says it is, a detector unless it is a backbone.

    Raises:
        UserError: neither.
        RuntimeError: see `export_onnx`.
    """
    _, metadata = load_weights(model.path)
    if metadata.get("kind") != BACKBONE:
        return export_detector(model=model, site=site)

    def body(bench: Workbench) -> Mapping[str, Any]:
        with tempfile.TemporaryDirectory() as scratch:
            path, line = export_backbone(model.path, Path(scratch))
            bench.directory.put(path, path.name)
            bench.run.log_file(path, "export")
        native = {"file": path.name, "load": line.replace(str(path), path.name)}
        about = {
            "architecture": metadata["architecture"],
            "preprocessing": metadata.get("preprocessing"),
            "lineage": dict(model.lineage),
            "native": native,
        }
        bench.directory.write_json(CONTRACT_FILE, about)
        bench.run.log_json(about, CONTRACT_FILE)
        return {
            "model": model.name,
            "architecture": metadata["architecture"],
            "native": native["file"],
            "load": native["load"],
        }

    return ensure(
        "export",
        site=site,
        config={},
        inputs={},
        extra={"model": model.digest},
        body=body,
    )


def export_detector(*, model: ModelSource, site: Site) -> Artifact:
    """Write `detector.onnx`, the library's file (`detector.pt` or a state dict) and `contract.json`.

    Args:
        model: the detector.
        site: workspace and tracking run.

    Raises:
        UserError: not a detector's file.
        RuntimeError: see `export_onnx`.
    """
    detector = load_detector(model.path)

    def body(bench: Workbench) -> Mapping[str, Any]:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            check = export_onnx(detector, folder / ONNX_FILE, model.lineage)
            native = write_native(detector, folder, STEM)
            for path in (folder / ONNX_FILE, native.path):
                bench.directory.put(path, path.name)
                bench.run.log_file(path, "export")
        about = {
            **contract(detector, model.lineage),
            "native": {"file": native.path.name, "load": native.how},
        }
        bench.directory.write_json(CONTRACT_FILE, about)
        bench.run.log_json(about, CONTRACT_FILE)
        errors = {"max_box_error": check.boxes, "max_score_error": check.scores}
        bench.run.log_metrics(errors)
        return {
            "model": model.name,
            "architecture": detector.architecture,
            **errors,
            "onnx": ONNX_FILE,
            "native": native.path.name,
            "load": native.how,
        }

    return ensure(
        "export",
        site=site,
        config={},
        inputs={},
        extra={"model": model.digest},
        body=body,
    )
