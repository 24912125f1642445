"""How far KeAD's maps and AUROCs move with narrower products: the shipped encoder on real tiles and strips.

`torch, bf16` is `maps.precision=bf16`. The others are not on offer: OpenVINO's bf16 (the extra `openvino`),
which rounds the first block and the sum over the blocks too, and onnxruntime's dynamic int8.
"""

import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.registry import SHARED_DATA, Row, at_most
from cluster.cpu_products import bf16_products
from pipelines.encoder import DenseEmbeddings, DenseEncoder
from pipelines.images import read_image
from pipelines.maps import MapMethod, MapsSection, build_method, image_auroc, pixel_auroc, tower_file

TILES, STRIPS = SHARED_DATA / "magnetic_tile", SHARED_DATA / "neu_det"
NORMAL_STEP, DEFECT_STEP, STRIP_STEP = 12, 5, 12  # every so manieth image
SHOTS, BATCH, GRID = 4, 16, 128
MOST_DIFFERENCE, MOST_AUROC = 1e-2, 0.002
Embed = Callable[[Tensor], DenseEmbeddings]


@dataclass(frozen=True)
class Images:
    """Images of one category as the encoder takes them, the references first.

    Attributes:
        category: the category.
        pixels: (k + N, 3, S, S) uint8.
        masks: (N, GRID, GRID), where labelled by pixels.
        normal: how many of the N are normal; they come first.
    """

    category: str
    pixels: Tensor
    masks: npt.NDArray[np.bool_] | None = None
    normal: int = 0


def run() -> Iterator[Row]:
    """Largest difference of a map's value from float32's, and of both AUROCs on the tiles."""
    torch.set_num_threads(1)
    if not (TILES.is_dir() and STRIPS.is_dir()):
        yield Row("maps with narrower products", None, f"{TILES} or {STRIPS} is not there")
        return
    exact, rounded = (_method(precision) for precision in ("fp32", "bf16"))
    sets = [_tiles(exact), _strips(exact)]
    wanted = [_maps(exact, images) for images in sets]
    ways: dict[str, MapMethod] = {"torch, bf16": rounded}
    for name, tower in _towers(exact.tower).items():
        ways[name] = _method("fp32")
        ways[name].embed_with(tower)
    for name, method in ways.items():
        given = [_maps(method, images) for images in sets]
        offered = name == "torch, bf16"
        for images, one, other in zip(sets, wanted, given, strict=True):
            what = f"{name}, {len(one[0])} of {images.category}: largest difference of a map's value"
            apart = float(np.abs(one[0] - other[0]).max())
            yield at_most(what, apart, MOST_DIFFERENCE) if offered else Row(what, apart)
        for kind, before, after in zip(
            ("image", "pixel"), _aurocs(wanted[0], sets[0]), _aurocs(given[0], sets[0]), strict=True
        ):
            what = f"{name}: difference of the tiles' {kind} AUROC of {before:.3f}"
            apart = abs(after - before)
            yield at_most(what, apart, MOST_AUROC) if offered else Row(what, apart)


def _method(precision: str) -> MapMethod:
    settings = {"runtime": "torch", "precision": precision, "kead": {"shots": SHOTS}}
    return build_method(MapsSection.model_validate(settings), "cpu")


def _pixels(method: MapMethod, files: list[Path]) -> Tensor:
    return torch.stack([torch.from_numpy(method.preprocess(read_image(str(file)))) for file in files])


def _tiles(method: MapMethod) -> Images:
    normal = sorted((TILES / "MT_Free").rglob("*.jpg"))
    defects = sorted(file for file in TILES.rglob("*.jpg") if file.parts[-3] != "MT_Free")[::DEFECT_STEP]
    good = normal[SHOTS::NORMAL_STEP]
    masks = np.zeros((len(good) + len(defects), GRID, GRID), bool)
    for place, file in enumerate(defects, start=len(good)):
        mask = cv2.imread(str(file.with_suffix(".png")), cv2.IMREAD_GRAYSCALE)
        masks[place] = cv2.resize(mask, (GRID, GRID), interpolation=cv2.INTER_AREA) > 127
    return Images("magnetic_tile", _pixels(method, [*normal[:SHOTS], *good, *defects]), masks, len(good))


def _strips(method: MapMethod) -> Images:
    """The first strips stand for normal references, which this set has none of."""
    files = sorted(STRIPS.rglob("*.jpg"))[::STRIP_STEP]
    return Images("steel_strip", _pixels(method, files))


def _maps(method: MapMethod, images: Images) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """(N, g, g) maps and (N,) scores of all but the references."""
    prompts = MapsSection().library().category(images.category)
    state = method.category_state(prompts, images.pixels[:SHOTS])
    done = [method(part, [state] * len(part)) for part in torch.split(images.pixels[SHOTS:], BATCH)]
    return torch.cat([one.maps for one in done]).numpy(), torch.cat([one.score for one in done]).numpy()


def _aurocs(
    made: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]], images: Images
) -> tuple[float, float]:
    """Of images by score, and of pixels by the maps."""
    maps, scores = made
    assert images.masks is not None
    defective = (np.arange(len(scores)) >= images.normal).tolist()
    return image_auroc(scores, defective), pixel_auroc(list(maps), list(images.masks))


def _towers(dense: DenseEncoder | None) -> Mapping[str, Embed]:
    """The tower by runtimes that narrow its products themselves."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from pipelines.maps.onnx_tower import IMAGES, session_of

    assert dense is not None
    content, cls, patches = tower_file(dense)
    names = list(dict.fromkeys([cls, *patches]))

    def embeddings(values: Mapping[str, npt.NDArray[np.float32]]) -> DenseEmbeddings:
        tensors = {name: torch.from_numpy(value).float() for name, value in values.items()}
        return DenseEmbeddings(tensors[cls], [tensors[name] for name in patches])

    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "int8.onnx")
        quantize_dynamic(
            onnx.load_from_string(content),
            file,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
        )
        session = session_of(Path(file).read_bytes(), 1)

    def narrow(images: Tensor) -> DenseEmbeddings:
        values = session.run(names, {IMAGES: images.contiguous().numpy()})
        return embeddings(dict(zip(names, values, strict=True)))

    towers: dict[str, Embed] = {"onnxruntime, dynamic int8": narrow}
    if importlib.util.find_spec("openvino") is not None and bf16_products():
        import openvino

        core = openvino.Core()
        settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "bf16"}
        model = core.compile_model(core.read_model(content), "CPU", settings)

        def half(images: Tensor) -> DenseEmbeddings:
            results = model([images.contiguous().numpy()])
            return embeddings({name: np.array(results[name]) for name in names})

        towers["openvino, bf16"] = half
    return towers
