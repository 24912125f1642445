"""Encoders from the package, from folders and from files; every wrong input is told."""

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from cluster.errors import UserError
from pipelines.encoder.input_shape import input_patches, input_size
from pipelines.encoder.loading import load_encoder, say_normalisation
from pipelines.encoder.sources import (
    CONFIG_FILE,
    FOLDER_WEIGHTS,
    SHIPPED_FOLDER,
    WEIGHTS_FILE,
    weights_digest,
)
from pipelines.encoder.surgery import DenseEncoder

CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


class Payload:
    """Unpickling it writes a file, as a hostile checkpoint would."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path(self.target),)  # type: ignore[return-value]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / f"tiny-{tmp_path.name}.json"  # open_clip's registry is global: a stem of its own
    path.write_text(json.dumps(CONFIG))
    return path


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(open_clip.CLIP(**CONFIG).state_dict())


def test_shipped_encoder_is_small_float32_and_has_its_text_and_image_side() -> None:
    encoder = load_encoder("surface-clip")
    assert (SHIPPED_FOLDER / WEIGHTS_FILE).stat().st_size <= 10_000_000
    assert encoder.name == "surface-clip"
    assert encoder.image_size == input_size("surface-clip")
    assert tuple(encoder.visual.grid_size) == (input_patches("surface-clip"),) * 2
    assert not encoder.model.training
    assert {parameter.dtype for parameter in encoder.model.parameters()} == {torch.float32}
    assert encoder.tokenizer(["a photo of a rail."]).shape == (1, 77)
    assert encoder.digest == weights_digest("surface-clip")
    assert encoder.digest.startswith("sha256:")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".bin"])
def test_local_files_load_through_open_clip(
    config: Path, state: dict[str, torch.Tensor], tmp_path: Path, suffix: str
) -> None:
    weights = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file({name: value.half() for name, value in state.items()}, weights)
    else:
        torch.save({name: value.half() for name, value in state.items()}, weights)
    encoder = load_encoder(str(config), str(weights))
    assert encoder.image_size == input_size(str(config), str(weights)) == 32
    torch.testing.assert_close(
        encoder.model.state_dict()["visual.proj"], state["visual.proj"].half().float(), atol=0, rtol=0
    )
    assert encoder.mean == pytest.approx(open_clip.OPENAI_DATASET_MEAN)


def test_digest_follows_the_files_content(config: Path, tmp_path: Path) -> None:
    weights = tmp_path / "w.pt"
    weights.write_bytes(b"one")
    first = weights_digest(str(config), str(weights))
    assert first == weights_digest(str(config), str(weights))
    weights.write_bytes(b"two")
    second = weights_digest(str(config), str(weights))
    config.write_text(json.dumps(CONFIG | {"embed_dim": 32}))
    assert len({first, second, weights_digest(str(config), str(weights))}) == 3
    by_name = {weights_digest(name, str(weights)) for name in ("ViT-B-32", "ViT-B-16")}
    assert len(by_name) == 2


def test_digest_of_a_tag_is_its_name_without_any_network() -> None:
    assert weights_digest("ViT-B-16-plus-240", "laion400m_e32") == "ViT-B-16-plus-240/laion400m_e32"
    assert weights_digest("ViT-H-14-378-quickgelu", "dfn5b") == "ViT-H-14-378-quickgelu/dfn5b"
    assert input_size("ViT-H-14-378-quickgelu", "dfn5b") == 378
    assert input_patches("ViT-H-14-378-quickgelu", "dfn5b") == 27


@pytest.mark.parametrize(
    ("preset", "digest", "size", "blocks"),
    [
        ("base", "ViT-B-16-plus-240/laion400m_e32", 240, 12),
        ("large", "ViT-L-14-336-quickgelu/openai", 336, 24),
        ("huge", "ViT-H-14-378-quickgelu/dfn5b", 378, 32),
    ],
)
def test_presets_are_the_papers_encoders(
    preset: str, digest: str, size: int, blocks: int, tmp_path: Path
) -> None:
    name, tag = digest.split("/")
    assert weights_digest(preset) == weights_digest(name, tag) == digest
    assert input_size(preset) == size
    assert open_clip.get_model_config(name)["vision_cfg"]["layers"] == blocks
    (tmp_path / "mine.pt").write_bytes(b"x")
    assert weights_digest(preset, str(tmp_path / "mine.pt")) == weights_digest(
        name, str(tmp_path / "mine.pt")
    )


def test_every_tag_is_served_with_the_activation_it_was_trained_with_or_refused() -> None:
    refused = 0
    for name, tag in open_clip.list_pretrained():
        trained = bool(open_clip.get_pretrained_cfg(name, tag).get("quick_gelu", False))
        if trained == bool(open_clip.get_model_config(name).get("quick_gelu", False)):
            assert weights_digest(name, tag) == f"{name}/{tag}"
        else:
            with pytest.raises(UserError, match="QuickGELU"):
                weights_digest(name, tag)
            refused += 1
    assert refused > 20
    with pytest.raises(UserError, match="use ViT-L-14-336-quickgelu instead"):
        load_encoder("ViT-L-14-336", "openai")


def test_hostile_pickle_is_refused_unexecuted(config: Path, tmp_path: Path) -> None:
    weights, trace = tmp_path / "evil.pt", tmp_path / "executed"
    torch.save({"visual.proj": Payload(trace)}, weights)
    with pytest.raises(UserError, match=r"evil\.pt"):
        load_encoder(str(config), str(weights))
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"not weights", b"\xff" * 64])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_broken_weights_are_told(config: Path, tmp_path: Path, content: bytes, suffix: str) -> None:
    weights = tmp_path / f"broken{suffix}"
    weights.write_bytes(content)
    with pytest.raises(UserError, match="can't be loaded"):
        load_encoder(str(config), str(weights))


def test_weights_that_do_not_fit_are_told(
    config: Path, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    weights = tmp_path / "other.safetensors"
    save_file(state | {"visual.proj": torch.zeros(4, 4)}, weights)
    with pytest.raises(
        UserError,
        match=r"can't be loaded: of the model's keys the weights have of another shape 1 "
        r"\(visual\.proj \(4, 4\) instead of \(32, 16\)\); .*belong together",
    ):
        load_encoder(str(config), str(weights))
    missing = {name: value for name, value in state.items() if name != "visual.proj"}
    save_file(missing, weights)
    with pytest.raises(UserError, match=r"the weights lack 1 \(visual\.proj\); check"):
        load_encoder(str(config), str(weights))
    save_file({f"{name}.x": value for name, value in state.items()}, weights)
    count = len(state)
    with pytest.raises(
        UserError, match=rf"lack {count} \((\S+, ){{3}}…\); have unknown {count} \((\S+, ){{3}}…\)"
    ):
        load_encoder(str(config), str(weights))


@pytest.mark.parametrize("content", [{}, [], None, {"state_dict": {}}, {1: 2}, torch.zeros(3), [{"a": 1}]])
def test_files_without_named_tensors_are_told(config: Path, tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "odd.pt")
    with pytest.raises(
        UserError, match=r"odd\.pt\" can't be loaded: the weights file holds no tensors by name"
    ):
        load_encoder(str(config), str(tmp_path / "odd.pt"))


def folder_of(place: Path, preprocess: object = None) -> Path:
    """A model folder without weights."""
    place.mkdir()
    more = {} if preprocess is None else {"preprocess_cfg": preprocess}
    (place / CONFIG_FILE).write_text(json.dumps({"model_cfg": CONFIG, **more}))
    return place


COLOURS = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}


@pytest.mark.parametrize("name", FOLDER_WEIGHTS)
def test_every_name_of_weights_in_a_folder_is_found(
    state: dict[str, torch.Tensor], tmp_path: Path, name: str
) -> None:
    folder = folder_of(tmp_path / "model", COLOURS)
    for other in FOLDER_WEIGHTS[FOLDER_WEIGHTS.index(name) :]:  # of several the first is taken
        content = {key: value + (other != name) for key, value in state.items()}
        if other.endswith(".safetensors"):
            save_file(content, folder / other)
        else:
            torch.save(content, folder / other)
    encoder = load_encoder(str(folder))
    torch.testing.assert_close(encoder.model.state_dict()["visual.proj"], state["visual.proj"])
    assert (encoder.mean, encoder.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    before = encoder.digest
    (folder / name).write_bytes(b"other")
    assert weights_digest(str(folder)) != before


def test_a_hostile_pickle_in_a_folder_is_refused_unexecuted(tmp_path: Path) -> None:
    folder, trace = folder_of(tmp_path / "model"), tmp_path / "executed"
    torch.save({"visual.proj": Payload(trace)}, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(UserError, match="can't be loaded"):
        load_encoder(str(folder))
    assert not trace.exists()


@pytest.mark.parametrize("preprocess", [None, {}, {"mean": [0.5, 0.5, 0.5]}, COLOURS])
def test_a_mean_or_std_that_is_not_given_is_said_once(
    state: dict[str, torch.Tensor], tmp_path: Path, preprocess: object, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(tmp_path / "model", preprocess)
    save_file(state, folder / WEIGHTS_FILE)
    encoder = load_encoder(str(folder))
    load_encoder(str(folder))
    lines = capsys.readouterr().err.splitlines()
    if preprocess is COLOURS:
        assert lines == []
        return
    (line,) = lines
    assert f'Encoder "{folder}": nothing says which' in line
    assert "std 0.2686, 0.2613, 0.2758" in line
    assert ("mean 0.4815, 0.4578, 0.4082" in line) == (preprocess != {"mean": [0.5, 0.5, 0.5]})
    assert encoder.std == pytest.approx((0.2686, 0.2613, 0.2758), abs=1e-4)


def test_a_bare_json_says_its_mean_and_a_tag_or_the_shipped_encoder_need_not(
    config: Path, state: dict[str, torch.Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file(state, tmp_path / "w.safetensors")
    load_encoder(str(config), str(tmp_path / "w.safetensors"))
    assert "open_clip's default, mean 0.4815, 0.4578, 0.4082 and std 0.2686" in capsys.readouterr().err
    say_normalisation("base")
    say_normalisation("surface-clip")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "preprocess",
    [
        {"mean": [0.5]},
        {"mean": 0.5},
        {"mean": ["a", "b", "c"]},
        {"mean": [float("nan"), 0, 0]},
        {"mean": [123.7, 116.3, 103.5]},
        {"std": [0, 0.5, 0.5]},
        {"std": [-1, 0.5, 0.5]},
        {"std": [58.4, 57.1, 57.4]},
    ],
)
def test_a_mean_or_std_that_is_none_is_told(
    state: dict[str, torch.Tensor], tmp_path: Path, preprocess: dict[str, object]
) -> None:
    folder = folder_of(tmp_path / "model", preprocess)
    save_file(state, folder / WEIGHTS_FILE)
    with pytest.raises(UserError, match=rf"preprocess_cfg\.{next(iter(preprocess))} must be three numbers"):
        load_encoder(str(folder))


@pytest.mark.parametrize(
    ("model", "weights", "told"),
    [
        ("surface-klip", None, 'did you mean "surface-clip"'),
        ("hugo", None, 'did you mean "huge"'),
        ("base", "laion400m_e33", r"did you mean \"laion400m_e3"),
        ("ViT-B-16-plus-241", "laion400m_e32", 'did you mean "ViT-B-16-plus-240"'),
        ("ViT-B-16-plus-240", "laion400m_e33", r"did you mean \"laion400m_e3"),
        ("ViT-B-16-plus-240", None, "needs weights: one of its tags"),
        ("surface-clip", "dfn5b", "brings its own weights"),
        ("nowhere.json", "w.pt", "does not exist"),
        ("ViT-B-32", "missing.safetensors", "are no file"),
    ],
)
def test_wrong_names_are_told(model: str, weights: str | None, told: str) -> None:
    for call in (load_encoder, weights_digest, input_size):
        with pytest.raises(UserError, match=told):
            call(model, weights)


def test_wrong_folders_and_configs_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no open_clip_config\.json"):
        load_encoder(str(tmp_path))
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG}))
    with pytest.raises(UserError, match=r"has no open_clip_model\.safetensors"):
        load_encoder(str(tmp_path))
    (tmp_path / "w.xyz").write_bytes(b"")
    with pytest.raises(UserError, match="must end in"):
        load_encoder("ViT-B-32", str(tmp_path / "w.xyz"))
    (tmp_path / "w.pt").write_bytes(b"")
    for text, told in (
        ("{", "not readable JSON"),
        ("[]", "JSON object"),
        ('{"embed_dim": 4}', "lacks embed_dim"),
        (json.dumps({"model_cfg": CONFIG}), "as a model folder's: name it open_clip_config.json"),
        (json.dumps(CONFIG | {"preprocess_cfg": {}}), "and give the folder"),
    ):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(UserError, match=told):
            load_encoder(str(tmp_path / "bad.json"), str(tmp_path / "w.pt"))


def test_a_config_must_not_take_another_models_name(tmp_path: Path) -> None:
    (tmp_path / "ViT-B-32.json").write_text(json.dumps(CONFIG))
    (tmp_path / "w.pt").write_bytes(b"")
    before = open_clip.get_model_config("ViT-B-32")
    with pytest.raises(UserError, match="rename it"):
        load_encoder(str(tmp_path / "ViT-B-32.json"), str(tmp_path / "w.pt"))
    assert open_clip.get_model_config("ViT-B-32") == before


TIMM = {"timm_model_name": "test_vit", "timm_model_pretrained": False, "image_size": 32}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        # As RN50.
        (
            {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16, "patch_size": None},
            "not open_clip's ViT",
        ),
        # As coca_ViT-B-32.
        (CONFIG["vision_cfg"] | {"attentional_pool": True, "attn_pooler_heads": 2}, "by attention"),
        # As ViT-B-16-SigLIP.
        (TIMM | {"timm_pool": "map", "timm_proj": "none"}, "not open_clip's ViT"),
        # As convnext_base.
        (
            TIMM | {"timm_model_name": "test_convnext", "timm_pool": "", "timm_proj": "linear"},
            "not open_clip's ViT",
        ),
    ],
    ids=["resnet", "attention-pool", "siglip", "convnext"],
)
def test_towers_without_patch_embeddings_are_told(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    model = CONFIG | {"vision_cfg": changes, "embed_dim": 64 if "timm_pool" in changes else 16}
    config = tmp_path / f"other-{tmp_path.name}.json"
    config.write_text(json.dumps(model))
    save_file(dict(open_clip.CLIP(**model).state_dict()), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=told):
        load_encoder(str(config), str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize(
    "changes",
    [
        {"quick_gelu": True},
        {"vision_cfg": CONFIG["vision_cfg"] | {"pool_type": "avg"}},
        # As ViT-L-14-CLIPA.
        {
            "vision_cfg": CONFIG["vision_cfg"]
            | {"pool_type": "avg", "no_ln_pre": True, "final_ln_after_pool": True}
        },
        # As coca_base.
        {
            "vision_cfg": CONFIG["vision_cfg"] | {"output_tokens": True},
            "text_cfg": CONFIG["text_cfg"] | {"context_length": 76, "embed_cls": True, "output_tokens": True},
            "multimodal_cfg": CONFIG["text_cfg"] | {"mlp_ratio": 4},
        },
    ],
    ids=["quickgelu", "average", "clipa", "coca"],
)
def test_every_kind_of_open_clips_own_vit_is_served(tmp_path: Path, changes: dict[str, Any]) -> None:
    model = CONFIG | changes
    config = tmp_path / f"kind-{tmp_path.name}.json"
    coca = "multimodal_cfg" in changes
    config.write_text(json.dumps(model | {"custom_text": coca}))
    kind = open_clip.CoCa if coca else open_clip.CLIP
    whole = kind(**model)
    torch.save(whole.state_dict(), tmp_path / "w.pt")
    encoder = load_encoder(str(config), str(tmp_path / "w.pt"))
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        expected = whole.eval().encode_image(images, normalize=True)
        torch.testing.assert_close(DenseEncoder(encoder.visual)(images).cls, expected)
        tokens = encoder.tokenizer(["a photo of a rail."])
        torch.testing.assert_close(encoder.encode_text(tokens), whole.encode_text(tokens, normalize=True))
