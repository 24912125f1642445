"""The export stage: a detector as ONNX and as its library's own file, a backbone as the latter."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cluster.errors import UserError
from cluster.progress import say
from cluster.stages import Artifact, Site, Workbench, ensure
from pipelines.encoder import written_licences
from training.export.backbone_export import export_backbone
from training.export.further_files import Conditions, refuse_seams, write_further
from training.export.native_file import write_native
from training.export.section import ExportSection
from training.models.detectors import Detector
from training.runtimes import contract, export_onnx
from training.starts import KIND as BACKBONE, ModelSource, load_detector
from training.weights import load_weights

STEM = "detector"
ONNX_FILE, CONTRACT_FILE = f"{STEM}.onnx", "contract.json"
# The contract names threshold and clipping; the free axis is called `batch`; licences; the fill, too.
REVISION = 5


@dataclass(frozen=True)
class _Exported:
    """What an export wrote.

    Attributes:
        paths: files in the scratch folder.
        contract: content of `contract.json`.
        results: figures and names of files.
        errors: differences from the model and other figures, for the tracking run.
        warnings: what must be said aloud.
    """

    paths: Sequence[Path]
    contract: Mapping[str, Any]
    results: Mapping[str, Any]
    errors: Mapping[str, float] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def export_model(
    section: ExportSection, conditions: Conditions, *, model: ModelSource, site: Site
) -> Artifact:
    """Export a weights file as what its metadata says: a backbone, or else a detector.

    Args:
        section: the config.
        conditions: what further files of a detector are made and tried with.
        model: the weights.
        site: workspace and tracking run.

    Raises:
        UserError: neither; further files of a backbone; see `write_further`.
        RuntimeError: see `export_onnx`, `write_nms` and `write_further`.
    """
    _, metadata = load_weights(model.path)
    if metadata.get("kind") != BACKBONE:
        return export_detector(section, conditions, model=model, site=site)
    if section.more:
        raise UserError(
            f"{model.name} is a backbone, which is written as its library's file alone; export.nms and "
            "export.formats are for detectors."
        )
    write = partial(_backbone_files, model, metadata)
    return _ensure(write, model=model, site=site)


def export_detector(
    section: ExportSection, conditions: Conditions, *, model: ModelSource, site: Site
) -> Artifact:
    """Write `detector.onnx`, the library's file (`detector.pt` or a state dict), `contract.json`, the rest.

    Args:
        section: the config, which names further files.
        conditions: what these are made and tried with.
        model: the detector.
        site: workspace and tracking run.

    Raises:
        UserError: not a detector's file; see `refuse_seams` and `write_further`.
        RuntimeError: see `export_onnx`, `write_nms` and `write_further`.
    """
    detector = load_detector(model.path)
    if section.more:
        refuse_seams(section, conditions.predict, detector.cut)
    write = partial(_detector_files, section, conditions, model, detector)
    revision = REVISION if detector.levels is None else 6  # the contract names them
    if not section.more:
        return _ensure(write, model=model, site=site, revision=revision)
    return _ensure(
        write,
        model=model,
        site=site,
        revision=revision,
        config={**section.deciding, **conditions.deciding},
        inputs={} if conditions.corpus is None else {"corpus": conditions.corpus},
    )


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


def _detector_files(
    section: ExportSection, conditions: Conditions, model: ModelSource, detector: Detector, folder: Path
) -> _Exported:
    check = export_onnx(detector, folder / ONNX_FILE, model.lineage)
    told = contract(detector, model.lineage)
    native = write_native(detector, folder, STEM)
    errors = {"max_box_error": check.boxes, "max_score_error": check.scores}
    files = {"onnx": ONNX_FILE, "native": native.path.name, "load": native.how}
    further = None
    if section.more:
        further = write_further(section, conditions, detector, source=folder / ONNX_FILE, contract=told)
    return _Exported(
        [folder / ONNX_FILE, native.path, *(further.paths if further else ())],
        contract={
            **told,
            "native": {"file": native.path.name, "load": native.how},
            **(further.document if further else {}),
        },
        results={
            "architecture": detector.architecture,
            **errors,
            **files,
            **({**further.document, "further": further.names} if further else {}),
        },
        errors={**errors, **(further.figures if further else {})},
        warnings=further.warnings if further else (),
    )


def _ensure(
    write: Callable[[Path], _Exported],
    *,
    model: ModelSource,
    site: Site,
    config: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Artifact] | None = None,
    revision: int = REVISION,
) -> Artifact:
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
        for sentence in exported.warnings:
            say(f"WARNING: {sentence}")
        return {"model": model.name, **exported.results}

    return ensure(
        "export",
        site=site,
        config=config or {},
        inputs=inputs or {},
        extra={"model": model.digest},
        body=body,
        revision=revision,
    )
