"""`agssp study`: every fault of the user's input is one sentence, exit 2, and nothing is written."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.e2e.test_bad_input import expect, run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Unlabelled images of one category."""
    for number in range(3):
        path = tmp_path / f"photos/steel_sheet/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["corpus.root=nowhere"], "nowhere does not exist"),
        (["corpus.root={photos}"], "has no labelled images as the layout folder reads it"),
        (["--device", "tpu"], 'Device "tpu" can\'t be used'),
        (["maps.encoder.model=hugo"], 'did you mean "huge"?'),
        (["maps.encoder.model=ViT-L-14-336", "maps.encoder.weights=openai"], "use ViT-L-14-336-quickgelu"),
        (["maps.method=winklip"], "Override maps.method: "),
        (["generate.categories=[teapot]"], '"teapot"'),
    ],
)
def test_faults_are_told_before_anything_is_written(
    words: list[str], told: str, photos: Path, tmp_path: Path
) -> None:
    workspace = tmp_path / "w"
    given = [word.format(photos=photos) for word in words]
    expect(run("study", "table4", *given, f"workspace={workspace}"), told)
    assert not workspace.exists()


def test_a_category_without_prompts_is_told(photos: Path, tmp_path: Path) -> None:
    (photos / "steel_sheet").rename(photos / "teapot")
    (photos / "teapot" / "good").mkdir()
    (photos / "teapot" / "0.png").rename(photos / "teapot" / "good" / "0.png")
    words = [f"corpus.root={photos}", "corpus.layout=masks", f"workspace={tmp_path / 'w'}"]
    expect(run("study", "table4", *words), 'no prompts for category "teapot"')
    assert not (tmp_path / "w").exists()
