"""Images at once, precision and compilation of the maps stage."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from cluster.errors import UserError
from pipelines.encoder.loading import load_encoder
from pipelines.maps.build import method_over
from pipelines.maps.resources import image_bytes, images_at_once
from pipelines.maps.section import MapsSection
from pipelines.surfaces.generator import generate
from tests.pipelines.tiny_encoder import tiny_clip, tiny_encoder
from tests.repository import ROOT


@pytest.mark.parametrize(("actors", "fault"), [([3, 2], "above the most"), (0, "greater than or equal to 1")])
def test_a_pool_that_cannot_be_is_refused(actors: object, fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        MapsSection.model_validate({"actors": actors})


TAKEN = """
import re
from pathlib import Path
import torch
from pipelines.maps import MapsSection, build_method
from pipelines.maps.resources import image_bytes

def resident(name):
    return int(re.search(rf"{name}:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

torch.set_num_threads(1)
method = build_method(MapsSection.model_validate({"kead": {"shots": 4}}), "cpu")
images = torch.zeros(32, 3, method.encoder.image_size, method.encoder.image_size, dtype=torch.uint8)
state = method.category_state(MapsSection().library().category("steel_strip"), images[:4])
method(images[:2], [state] * 2)
Path("/proc/self/clear_refs").write_text("5")
before = resident("VmRSS")
method(images, [state] * 32)
print((resident("VmHWM") - before) / 32, image_bytes(method.encoder.visual, 4))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the kernel tells no peak of memory")
def test_the_estimate_of_an_images_memory_covers_what_it_takes() -> None:
    """In a process of its own: one that has freed much takes from that, or keeps it beside.

    glibc raises the size from which on it maps pages as big blocks are freed, and then keeps a quarter more
    or less by chance; with a fixed one the peak is what the tensors take.
    """
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 16)}
    done = subprocess.run(
        [sys.executable, "-c", TAKEN],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    taken, estimate = map(float, done.stdout.split())
    assert taken == pytest.approx(estimate, rel=0.05)


def test_images_at_once_are_the_config_s_or_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    section = MapsSection.model_validate({"kead": {"shots": 0, "layers": [5]}})
    method = method_over(tiny_encoder(), section)
    each = image_bytes(method.encoder.visual, 0)
    assert each == 4 * 10 * 16 * 32  # 3×3 patches and the class token, 32 wide
    for available, neighbours, expected in ((8.5 * 2 * each, 1, 8), (9 * 2 * each, 3, 3), (0, 1, 1)):
        monkeypatch.setattr(
            "pipelines.maps.resources.psutil.virtual_memory",
            lambda n=available: type("M", (), {"available": n}),
        )
        assert images_at_once(section, method, neighbours) == expected
    fixed = MapsSection.model_validate({**section.model_dump(), "batch_size": 7})
    assert images_at_once(fixed, method) == 7


def test_fp16_on_a_cpu_is_refused() -> None:
    with pytest.raises(UserError, match="fp16 needs a GPU"):
        method_over(tiny_encoder(), MapsSection(precision="fp16"))


def test_precision_decides_the_maps_and_fp32_leaves_their_name_as_it_was() -> None:
    assert "precision" not in MapsSection().deciding
    assert MapsSection(precision="bf16").deciding["precision"] == "bf16"


@pytest.mark.parametrize("method", ["kead", "winclip"])
def test_bf16_maps_stay_within_a_hundredth(method: str) -> None:
    surfaces = [generate(5, index, size=128, category="steel_strip") for index in range(12)]
    encoder = load_encoder("surface-clip")
    results = {}
    for precision in ("fp32", "bf16"):
        section = MapsSection.model_validate({"method": method, "precision": precision})
        made = method_over(encoder, section)
        pixels = torch.stack([torch.from_numpy(made.preprocess(surface.image)) for surface in surfaces])
        state = made.category_state(section.library().category("steel_strip"), pixels[:4])
        results[precision] = made(pixels, [state] * len(pixels))
    assert results["fp32"].maps.dtype == results["bf16"].maps.dtype == torch.float32
    difference = (results["fp32"].maps - results["bf16"].maps).abs()
    assert 0 < difference.max() <= 1e-2  # > 0: bf16 was really used
    assert (results["fp32"].score - results["bf16"].score).abs().max() <= 1e-2


@pytest.mark.slow
def test_compiled_maps_equal_the_eager_ones() -> None:
    # Two blocks are enough for all that is compiled: one that is read on the way, and the last.
    section = MapsSection.model_validate({"kead": {"shots": 0, "layers": [1, 2]}})
    eager, compiled = (
        method_over(tiny_encoder(tiny_clip(layers=2)), section.model_copy(update={"compile": compile}))
        for compile in (False, True)
    )
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 3, 24, 24), np.uint8))
    state = eager.category_state(section.library().category("steel_strip"), None)
    for count in (6, 3):  # the last batch of a block is smaller
        expected = eager(images[:count], [state] * count)
        found = compiled(images[:count], [state] * count)
        torch.testing.assert_close(found.maps, expected.maps, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.score, expected.score, atol=1e-5, rtol=1e-5)
