"""A detector's ONNX file in further formats: OpenVINO's, and 8 bits for either runtime."""

import importlib.util
import json
import logging
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from cluster.errors import UserError
from training.export.decoding import decoding_nodes
from training.export.section import ExportSection, Format
from training.runtimes import INPUT
from training.weights import METADATA_KEY

Array = npt.NDArray[np.float32]
FILES: Mapping[Format, str] = {
    "openvino-fp32": "detector-fp32.xml",
    "openvino-fp16": "detector-fp16.xml",
    "openvino-int8": "detector-int8.xml",
    "onnx-int8": "detector-int8.onnx",
}


def refuse_missing(section: ExportSection) -> None:
    """Refuse formats whose packages are not installed, before anything is made.

    Raises:
        UserError: one is missing.
    """
    wanted = {name.partition("-")[0] for name in section.formats}
    packages = [*(["openvino"] if "openvino" in wanted else [])]
    packages += ["nncf"] if "openvino-int8" in section.formats else []
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"export.formats={','.join(section.formats)} needs {' and '.join(missing)}, not installed here: "
            'pip install "agssp[openvino]".'
        )


def write_format(
    name: Format, source: Path, folder: Path, contract: Mapping[str, Any], pictures: Sequence[Array]
) -> Sequence[Path]:
    """Write one further format of a detector.

    Args:
        name: the format.
        source: the detector's ONNX file.
        folder: where it goes.
        contract: what its metadata hold under `agssp`.
        pictures: (1, 3, H, W) inputs that files of 8 bits are calibrated on; else unused.

    Returns:
        The files, the one that is opened first.
    """
    path = folder / FILES[name]
    if name == "onnx-int8":
        _quantise_onnx(source, path, contract, pictures)
        return [path]
    import openvino

    # Not `convert_model`, which takes a path apart at its commas.
    model = openvino.Core().read_model(str(source))
    if name == "openvino-int8":
        model = _quantised_openvino(model, source, pictures)
    model.set_rt_info(json.dumps(contract, sort_keys=True), METADATA_KEY)
    openvino.save_model(model, str(path), compress_to_fp16=name == "openvino-fp16")
    return [path, path.with_suffix(".bin")]


def _quantised_openvino(model: Any, source: Path, pictures: Sequence[Array]) -> Any:
    """Post-training quantisation by nncf; the steps behind the last convolutions stay as they are."""
    import nncf

    nncf.set_log_level(logging.ERROR)  # its counts and bars are no news to a user
    apart = set(decoding_nodes(onnx.load(str(source)).graph))
    known = {operation.get_friendly_name() for operation in model.get_ops()}
    with redirect_stdout(sys.stderr):  # where progress belongs
        return nncf.quantize(
            model,
            nncf.Dataset(list(pictures)),
            preset=nncf.QuantizationPreset.MIXED,  # SiLU is not symmetric
            subset_size=len(pictures),
            ignored_scope=nncf.IgnoredScope(names=sorted(apart & known), validate=False),
        )


def _quantise_onnx(source: Path, path: Path, contract: Mapping[str, Any], pictures: Sequence[Array]) -> None:
    """Static quantisation by onnxruntime: 8 bits at the convolutions, in Q and DQ pairs.

    Weights get 7 bits: CPUs without VNNI add pairs of products in 16 bits, which overflow with 8.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(str(prepared)).graph
        quantize_static(
            str(prepared),
            str(path),
            _Reader(pictures),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "MatMul"],
            nodes_to_exclude=decoding_nodes(graph),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    file = onnx.load(str(path))
    del file.metadata_props[:]
    entry = file.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(contract, sort_keys=True)
    onnx.checker.check_model(file)
    onnx.save(file, str(path))


class _Reader:
    """onnxruntime's way to ask for one input after the other."""

    def __init__(self, pictures: Sequence[Array]) -> None:
        self.pictures: Iterator[Array] = iter(pictures)

    def get_next(self) -> dict[str, Array] | None:
        """The next input; None at the end."""
        picture = next(self.pictures, None)
        return None if picture is None else {INPUT: picture}

    def __iter__(self) -> "_Reader":
        return self

    def __next__(self) -> dict[str, Array]:
        return {INPUT: next(self.pictures)}
