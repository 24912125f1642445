"""The export stage: a detector as ONNX and as its library's own file, a backbone as the latter."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cluster.stages import Artifact, Site, Workbench, ensure
from pipelines.encoder import written_licences
from training.export.backbone_export import export_backbone
from training.export.native_file import write_native
from training.export.onnx_export import contract, export_onnx
from training.models.detectors import Detector
from training.starts import KIND as BACKBONE, ModelSource, load_detector
from training.weights import load_weights

STEM = "detector"
ONNX_FILE, CONTRACT_FILE = f"{STEM}.onnx", "contract.json"


@dataclass(frozen=True)
class _Exported:
    """What an export wrote.

    Attributes:
        paths: files in the scratch folder.
        contract: content of `contract.json`.
        results: figures and names of files.
        errors: differences from the model, for the tracking run.
    """

    paths: Sequence[Path]
    contract: Mapping[str, Any]
    results: Mapping[str, Any]
    errors: Mapping[str, float] = field(default_factory=dict)


def export_model(*, model: ModelSource, site: Site) -> Artifact:
    """Export a weights file as what its metadata says: a backbone, or else a detector.

    Raises:
        UserError: neither.
        RuntimeError: see `export_onnx`.
    """
    _, metadata = load_weights(model.path)
    if metadata.get("kind") != BACKBONE:
        return export_detector(model=model, site=site)
    write = partial(_backbone_files, model, metadata)
    return _ensure(write, model=model, site=site)


def export_detector(*, model: ModelSource, site: Site) -> Artifact:
    """Write `detector.onnx`, the library's file (`detector.pt` or a state dict) and `contract.json`.

    Args:
        model: the detector.
        site: workspace and tracking run.

    Raises:
        UserError: not a detector's file.
        RuntimeError: see `export_onnx`.
    """
    write = partial(_detector_files, model, load_detector(model.path))
    return _ensure(write, model=model, site=site)


def _backbone_files(model: ModelSource, metadata: Mapping[str, Any], folder: Path) -> _Exported:
    path, line = export_backbone(model.path, folder)
    architecture, load = metadata["architecture"], line.replace(str(path), path.name)
    return _Exported(
        [path],
        contract={
            "architecture": architecture,
            "preprocessing": metadata.get("preprocessing"),
            "lineage": dict(model.lineage),
            "licences": written_licences(metadata, model.name),
            "native": {"file": path.name, "load": load},
        },
        results={"architecture": architecture, "native": path.name, "load": load},
    )


def _detector_files(model: ModelSource, detector: Detector, folder: Path) -> _Exported:
    check = export_onnx(detector, folder / ONNX_FILE, model.lineage)
    native = write_native(detector, folder, STEM)
    errors = {"max_box_error": check.boxes, "max_score_error": check.scores}
    files = {"onnx": ONNX_FILE, "native": native.path.name, "load": native.how}
    return _Exported(
        [folder / ONNX_FILE, native.path],
        contract={
            **contract(detector, model.lineage),
            "native": {"file": native.path.name, "load": native.how},
        },
        results={"architecture": detector.architecture, **errors, **files},
        errors=errors,
    )


def _ensure(write: Callable[[Path], _Exported], *, model: ModelSource, site: Site) -> Artifact:
    """The stage of either export; the files that `write` puts into a scratch folder become the artifact."""

    def body(bench: Workbench) -> Mapping[str, Any]:
        with tempfile.TemporaryDirectory() as scratch:
            exported = write(Path(scratch))
            for path in exported.paths:
                bench.directory.put(path, path.name)
                bench.run.log_file(path, "export")
        bench.directory.write_json(CONTRACT_FILE, exported.contract)
        bench.run.log_json(exported.contract, CONTRACT_FILE)
        if exported.errors:
            bench.run.log_metrics(exported.errors)
        return {"model": model.name, **exported.results}

    return ensure(
        "export",
        site=site,
        config={},
        inputs={},
        extra={"model": model.digest},
        body=body,
        # The contract names threshold and clipping; the free axis is called `batch`; licences, too.
        revision=4,
    )
