"""Published checkpoints in our keys compute what they compute at home.

The layouts and figures were made with mmpretrain 1.2.0, mmdet 3.3.0, mmyolo 0.6.0 and the sources of SimMIM:
their models, filled with `drawn` values, looked at `picture`. Ours must give the same.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
import timm
import torch
import torchvision
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from tests.training.released_keys.layouts import checkpoint, drawn, figures, picture
from training.models.backbones.base import build
from training.models.backbones.filling import fill
from training.models.detectors.base import build_detector
from training.models.letterbox import Preprocessing
from training.released_keys.recognition import in_our_keys
from training.released_keys.translation import Translation

RESNET50 = {
    "stage 0": (0.157713, 0.176266, 0.0, 0.448292, 0.198563),
    "stage 1": (0.198148, 0.206333, 0.031393, 0.953453, 0.148605),
    "stage 2": (0.373005, 0.387713, 0.074673, 0.519456, 0.754244),
    "stage 3": (0.166895, 0.18316, 0.0, 0.233882, 0.268774),
}
YOLOV8S = {
    "stage 1": (0.007669, 0.085199, -0.113264, 0.097864, 0.130417),
    "stage 2": (0.003315, 0.053673, 0.089169, -0.061419, -0.049428),
    "stage 3": (0.003091, 0.051818, 0.105025, -0.003597, 0.018989),
    "boxes": (32.066545, 92.583342, -55.97271, -55.99498, -65.654366),
    "scores": (0.500196, 0.020909, 0.514486, 0.475346, 0.516168),
}
SWIN = {  # embedding 24, two blocks a stage; of mmpretrain, windows of 7
    "stage 0": (-0.007523, 1.04476, -1.382398, 1.761996, 0.310265),
    "stage 1": (-0.018451, 0.583935, -0.945115, 0.314562, 0.623562),
    "stage 2": (0.006325, 1.871295, -1.89154, -1.691115, 1.019771),
    "stage 3": (-0.002723, 0.935855, 0.644392, 0.946818, 0.997181),
}
SIMMIM = {  # the same of SimMIM's authors, windows of 6
    "stage 0": (-0.004808, 1.063708, -0.276095, -0.760646, 1.350108),
    "stage 1": (3.6e-05, 0.597815, -0.699397, 0.129451, -0.647913),
    "stage 2": (0.197165, 0.712897, -0.343334, 0.295722, 0.80249),
    "stage 3": (0.000462, 0.194251, 0.319274, 0.075512, 0.016214),
}
Floats = npt.NDArray[np.float64]
SWIN_BASE = "swin_base_patch4_window7_224"


def in_ours(source: dict[str, Tensor], name: str) -> Translation:
    found = in_our_keys(source, name)
    assert found is not None
    return found


def same(maps: dict[str, Tensor], published: Mapping[str, tuple[float, ...]]) -> None:
    """Figures to 1e-5 of a map's deviation; boxes are in pixels."""
    ours = figures(maps)
    assert ours.keys() == published.keys()
    for name, numbers in published.items():
        assert ours[name] == pytest.approx(numbers, abs=1e-5 * max(1, numbers[1])), name


def small_swin(window: int, side: int) -> nn.Module:
    model = SwinTransformer(
        img_size=side,
        embed_dim=24,
        depths=(2, 2, 2, 2),
        num_heads=(1, 2, 4, 8),
        window_size=window,
        num_classes=0,
    )
    return model.eval()


def seen_by(model: nn.Module, side: int) -> dict[str, Tensor]:
    with torch.no_grad():
        maps = model.forward_intermediates(picture(side), intermediates_only=True)  # type: ignore[operator]
    return {f"stage {index}": x for index, x in enumerate(maps)}


def test_resnet50_of_mmpretrain_and_mmdet() -> None:
    source = checkpoint("mmpretrain-resnet50")
    others = {"neck.lateral_convs.0.conv.weight": torch.ones(1), "rpn_head.rpn_cls.weight": torch.ones(1)}
    found = in_ours({**source, **others}, "resnet50")
    backbone = build("resnet50")
    report = fill(backbone, found.state, "w.pth")
    assert not report.missing
    assert not report.unused
    with torch.no_grad():
        maps = backbone.eval()(picture(64))
    same({f"stage {index}": x for index, x in enumerate(maps)}, RESNET50)
    assert found.sentence("w.pth") == (
        "w.pth holds a ResNet in the keys of mmpretrain and mmdet: 318 tensors taken; 2 have no place here "
        "(neck, rpn_head)"
    )


def test_moco_v3_as_its_authors_publish_it() -> None:
    """Their encoder is torchvision's ResNet-50 with a perceptron as last layer; the base encoder is taken."""
    plain = {key.removeprefix("backbone."): x for key, x in checkpoint("mmpretrain-resnet50").items()}
    theirs = torchvision.models.resnet50()
    theirs.load_state_dict(plain, strict=False)
    source = {f"module.base_encoder.{key}": x for key, x in plain.items()}
    source |= {f"module.momentum_encoder.{key}": torch.zeros_like(x) for key, x in plain.items()}
    source |= {f"module.{one}.0.weight": torch.ones(4, 8) for one in ("base_encoder.fc", "predictor")}
    found = in_ours(source, "yolov8s+resnet50")
    assert found.family == "the base encoder of MoCo v3's authors, a ResNet"
    assert len(found.left) == len(plain) + 2
    ours = timm.create_model("resnet50", num_classes=0, global_pool="").eval()
    ours.load_state_dict(found.state)
    body = nn.Sequential(*list(theirs.eval().children())[:-2])
    with torch.no_grad():
        assert torch.allclose(ours(picture(64)), body(picture(64)), atol=1e-6)


def test_yolov8s_of_mmyolo_whole() -> None:
    found = in_ours(checkpoint("mmyolo-yolov8s"), "yolov8s")
    assert found.sentence("y.pth") == "y.pth holds a YOLOv8 in the keys of mmyolo: 354 tensors taken"
    names = tuple(str(number) for number in range(80))
    detector = build_detector("yolov8s", names, Preprocessing(64, "square"), like=found.state).eval()
    missing, unexpected = detector.load_state_dict(found.state, strict=False)
    assert missing == ["model.22.dfl.conv.weight"]  # 0 to 15, which nothing trains
    assert not unexpected
    backbone = build("yolov8s").eval()
    fill(backbone, found.state, "y.pth")
    with torch.no_grad():
        maps = backbone(picture(64))
        boxes, scores = detector.candidates(picture(64))
    stages = {f"stage {index}": x for index, x in enumerate(maps) if index}
    same({**stages, "boxes": boxes[0, :, 0], "scores": scores[0]}, YOLOV8S)


def test_swin_of_mmpretrain() -> None:
    found = in_ours(checkpoint("mmpretrain-swin"), SWIN_BASE)
    model = small_swin(7, 224)
    model.load_state_dict(found.state)
    same(seen_by(model, 224), SWIN)
    assert found.sentence("s.pth").endswith("10 have no place here (backbone, head)")


def test_swin_of_simmim_s_authors() -> None:
    source = checkpoint("simmim-swin")
    windows_of_6 = in_ours(source, "swin_of_its_own")
    model = small_swin(6, 192)
    model.load_state_dict(windows_of_6.state)
    same(seen_by(model, 192), SIMMIM)

    resampled = in_ours(source, f"yolov8s+{SWIN_BASE}")
    small_swin(7, 224).load_state_dict(resampled.state)
    assert "8 tables of position biases resampled to its windows; " in resampled.sentence("s.pth")
    key = "layers.0.blocks.0.attn.relative_position_bias_table"
    expected = geometrically(windows_of_6.state[key].reshape(11, 11).double().numpy(), 13)
    assert np.abs(resampled.state[key].reshape(13, 13).numpy() - expected).max() < 1e-5


def geometrically(table: Floats, side: int) -> Floats:
    """A square table on a grid of `side`, linear between places whose steps grow by one factor."""
    half = len(table) // 2
    low, high = 1.01, 1.5
    while high - low > 1e-6:  # the factor by which the table's own places reach as far as the new grid's
        factor = (low + high) / 2
        reach = (1 - factor**half) / (1 - factor)
        low, high = (low, factor) if reach > side // 2 else (factor, high)
    steps = np.cumsum([0.0, 1.0, *(factor**power for power in range(1, half))])
    places, wanted = np.concatenate([-steps[:0:-1], steps]), np.arange(side) - side // 2
    rows = np.array([np.interp(wanted, places, row) for row in table])
    return np.array([np.interp(wanted, places, column) for column in rows.T]).T


def test_a_parallel_training_s_wrapper_is_taken_off() -> None:
    for name, model in (("mmyolo-yolov8s", "yolov8s"), ("simmim-swin", "s"), ("mmpretrain-swin", SWIN_BASE)):
        source = checkpoint(name)
        plain = in_ours(source, model).state
        wrapped = in_ours({f"module.{key}": x for key, x in source.items()}, model).state
        assert wrapped.keys() == plain.keys()


@pytest.mark.parametrize("name", ["resnet18", "yolov8n", "swin_tiny_patch4_window7_224", "convnext_atto"])
def test_our_own_keys_are_none_of_theirs(name: str) -> None:
    assert in_our_keys(build(name).library_state_dict(), name) is None
    assert in_our_keys({}, name) is None


def test_shapes_that_no_such_model_has_are_left_for_filling_to_refuse() -> None:
    odd = {key: drawn(key, (3,)) for key in checkpoint("mmpretrain-swin")}
    assert in_ours(odd, SWIN_BASE).state["layers.1.downsample.norm.weight"].shape == (3,)
