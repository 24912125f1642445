"""`agssp references`: what may be proposed, the page, the lines for the config; hostile names stay names."""

import hashlib
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

from agssp import app
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection, ReferenceNeed
from pipelines.corpus.split import is_test
from pipelines.encoder.loading import load_encoder
from pipelines.encoder.prompts import load_library
from pipelines.images.reading import read_image
from pipelines.maps.kead import KeAD
from pipelines.maps.section import KeadSettings
from pipelines.references.page import picture_name
from pipelines.references.proposal import eligible_images
from tests.pipelines.corpus.test_corpus import paint, paint_mask
from training.project import read_project as project_of


def references(*words: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["references", *words, "--json"], catch_exceptions=False)
    document: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return document | {"exit": result.exit_code, "said": result.stderr}


def image_id(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


@pytest.fixture
def rails(tmp_path: Path) -> Path:
    """Unlabelled images of two categories; one of them has its references."""
    for number in range(9):
        paint(tmp_path / "photos" / "Rail" / f"{number}.png", number)
    for number in range(5):
        paint(tmp_path / "photos" / "billet" / "references" / f"{number}.png", 50 + number)
    return tmp_path / "photos"


def test_proposals_are_shown_and_accepted_by_their_yaml(rails: Path, tmp_path: Path) -> None:
    (rails / "Rail" / "broken.png").write_text("no image")
    shutil.copy(rails / "Rail/3.png", rails / "Rail/copy.png")
    words = (f"corpus.root={rails}", "--count", "3", "--out", str(tmp_path / "shown"))
    found = references(*words)
    assert found["exit"] == 0
    (rail,) = found["categories"]  # billet has what it needs
    assert (rail["category"], rail["eligible"], rail["sampled"], rail["unreadable"]) == ("Rail", 11, 9, 1)
    assert "broken.png: not an image" in found["said"]
    paths = [pick["path"] for pick in rail["proposals"]]
    assert len(set(paths)) == 3
    # The score is KeAD's own zero-shot score.
    kead = KeAD(load_encoder("surface-clip"), KeadSettings(shots=0))
    state = kead.category_state(load_library().category("rail"), None)
    for pick in rail["proposals"]:
        pixels = torch.from_numpy(kead.preprocess(read_image(pick["uri"])))[None]
        assert pick["score"] == pytest.approx(kead(pixels, [state]).score.item(), abs=1e-4)
    # The lines, laid over the config, are what the corpus then takes.
    assert Path(found["patch_file"]).read_text() == found["patch"]
    project = project_of([found["patch_file"], f"corpus.root={rails}"])
    assert project.corpus.references == {"Rail": tuple(paths)}
    candidates = Listing(project.corpus).reference_candidates(project.corpus)
    assert candidates["Rail"].uris.to_pylist() == [f"{rails}/{path}" for path in paths]
    Listing(project.corpus).require_references(project.corpus, ReferenceNeed(3, "maps.kead.shots"))
    # The same again gives the same.
    assert references(*words)["patch"] == found["patch"]
    sheet = Image.open(io.BytesIO(Path(found["pictures"][0]).read_bytes()))
    assert sheet.format == "PNG"
    page = Path(found["page"]).read_text()
    assert page.count("data:image/jpeg;base64,") == 3
    assert re.findall(r"(?:src|href|url)\s*[=(].{0,16}", page) == ['src="data:image/jpeg'] * 3
    assert all(f"</span>{path}</b>" in page for path in paths)


def test_people_get_the_yaml_alone_on_stdout(rails: Path, tmp_path: Path) -> None:
    words = ["references", f"corpus.root={rails}", "--count", "2", "--out", str(tmp_path / "shown")]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0
    assert set(yaml.safe_load(result.stdout)["corpus"]["references"]) == {"Rail"}
    assert "references.html" in result.stderr


def test_nothing_labelled_defective_and_nothing_held_out_is_proposed(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for number in range(14):
        paint(root / "rail" / "good" / f"{number}.png", number)
    for number in range(6):
        paint(root / "rail" / "crack" / f"{number}.png", 100 + number)  # labelled by its folder alone
    for number in range(6, 9):
        paint(root / "rail" / "crack" / f"{number}.png", 100 + number)
        paint_mask(root / "rail" / "crack" / f"{number}_mask.png", (2, 2, 6, 6))
    section = CorpusSection(root=str(root), layout="masks")
    good = [f"rail/good/{number}.png" for number in range(14)]
    assert sorted(image.path for image in eligible_images(Listing(section), "rail")) == sorted(good)
    allowed = [path for path in good if not is_test(image_id(root / path), 0.5)]
    assert 0 < len(allowed) < 14
    words = (f"corpus.root={root}", "corpus.layout=masks", "--category", "RAIL", "--out", str(tmp_path / "s"))
    found = references(*words, "--count", str(len(allowed)))
    assert found["exit"] == 0
    assert sorted(pick["path"] for pick in found["categories"][0]["proposals"]) == sorted(allowed)
    more = references(*words, "--count", str(len(allowed) + 1))
    assert more["exit"] == 2
    assert f"has {len(allowed)} different images that may be proposed" in more["error"]
    assert "lower --count" in more["error"]
    assert references(*words, "--count", "14", "corpus.test_share=0")["exit"] == 0


def test_where_every_image_has_a_defect_to_go_without_is_said(tmp_path: Path) -> None:
    for number in range(6):
        paint(tmp_path / "rail" / "crack" / f"{number}.png", number)
        paint_mask(tmp_path / "rail" / "crack" / f"{number}_mask.png", (2, 2, 6, 6))
    found = references(f"corpus.root={tmp_path}", "corpus.layout=masks", "--out", str(tmp_path / "s"))
    assert found["exit"] == 2
    assert "do without references (maps.kead.shots=0)" in found["error"]


def test_an_empty_mask_that_means_normal_is_read_first(tmp_path: Path) -> None:
    root = tmp_path / "sdd2"
    for number in range(12):
        paint(root / "train" / f"{number}.png", number)
        paint_mask(root / "train" / f"{number}_GT.png", (2, 2, 6, 6) if number % 3 == 0 else None)
    paint(root / "train" / "99.png", 99)
    (root / "train" / "99_GT.png").write_text("no mask")
    words = (f"corpus.root={root}", "corpus.layout=kolektor_sdd2", "corpus.test_share=0")
    found = references(*words, "--category", "surface", "--count", "8", "--out", str(tmp_path / "s"))
    normal = sorted(f"train/{number}.png" for number in range(12) if number % 3)
    assert sorted(pick["path"] for pick in found["categories"][0]["proposals"]) == normal
    assert found["categories"][0]["unreadable"] == 1


def test_several_sources_are_written_whole(rails: Path, tmp_path: Path) -> None:
    for number in range(3):
        paint(tmp_path / "more" / "Rail" / f"{number}.png", 70 + number)
    config = tmp_path / "c.yaml"
    sources = [
        {"root": str(rails), "references": {"billet": "billet/references"}},
        {"root": str(tmp_path / "more"), "references": {"Rail": ["Rail/0.png"]}},
    ]
    config.write_text(yaml.safe_dump({"corpus": {"sources": sources}}))
    words = (str(config), "--category", "rail", "--out", str(tmp_path / "s"))
    found = references(*words, "--count", "12")
    uris = {pick["uri"] for pick in found["categories"][0]["proposals"]}
    assert len(uris) == 12
    assert {uri.startswith(str(rails)) for uri in uris} == {True, False}
    project = project_of([found["patch_file"]])
    assert [source.root for source in project.corpus.sources] == [source["root"] for source in sources]
    candidates = Listing(project.corpus).reference_candidates(project.corpus)
    assert set(candidates["Rail"].uris.to_pylist()) == uris
    assert candidates["Rail"].most is None
    assert len(candidates["billet"].uris) == 5
    fewer = references(*words, "--count", "1")["patch_file"]
    accepted = project_of([fewer]).corpus
    assert sum(len(source.references.get("Rail", ())) for source in accepted.sources) == 1


def test_only_the_sample_is_read(rails: Path, tmp_path: Path) -> None:
    listing = Listing(CorpusSection(root=str(rails)))
    order = [image.path for image in eligible_images(listing, "Rail")]
    for path in order[4:]:
        (rails / path).write_bytes(b"never read")
    words = (f"corpus.root={rails}", "--sample", "4", "--count", "4", "--out", str(tmp_path / "s"))
    found = references(*words)["categories"][0]
    assert sorted(pick["path"] for pick in found["proposals"]) == sorted(order[:4])
    assert (found["sampled"], found["unreadable"]) == (4, 0)


HOSTILE = [
    "<script>alert(1)</script>",
    "a: [b, *c]",
    "{{ 7*7 }}{% raw %}",
    "'\"&amp;",
    "null",
    "1",
    "#x",
    "x..",
    "new\nline\x1b[31m",
    "naïve 磁砖 \U0001f980",
    "$HOME `id`",
    "auto",
]


class _Page(HTMLParser):
    """Tags and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_hostile_names_are_only_names(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    names = [name.replace("/", "∕") for name in HOSTILE]
    for number, name in enumerate(names):
        for other in range(2):
            paint(root / name / f"{other}{name}.png", 10 * number + other)
    config = tmp_path / "c.yaml"
    prompts = {name: {"object": name} for name in names}
    config.write_text(yaml.safe_dump({"corpus": {"root": str(root)}, "maps": {"categories": prompts}}))
    found = references(str(config), "--count", "2", "--out", str(tmp_path / "s"))
    assert found["exit"] == 0, found
    project = project_of([found["patch_file"], f"corpus.root={root}"])
    assert set(project.corpus.references) == set(names)
    for name in names:
        paths = {f"{name}/{other}{name}.png" for other in range(2)}
        assert set(project.corpus.references[name]) == paths
    Listing(project.corpus).require_references(project.corpus, ReferenceNeed(2, "maps.kead.shots"))
    page = _Page(Path(found["page"]).read_text())
    assert page.tags == {
        "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "section", "div", "figure",
        "img", "figcaption", "b", "span", "dl", "dt", "dd", "code", "pre",
    }  # fmt: skip
    assert set(names) <= set(page.texts)
    made = {path.name for path in (tmp_path / "s").iterdir()}
    assert len(made) == len(names) + 2
    assert all(re.fullmatch(r"references[a-z0-9_]*\.(html|yaml|png)", name) for name in made)


@pytest.mark.parametrize("name", ["../../x", "", "x" * 900, "磁砖", ".", "A b"])
def test_picture_names_are_plain(name: str) -> None:
    assert re.fullmatch(r"references_03(_[a-z0-9_]{1,40})?\.png", picture_name(3, name))


def test_wrong_input_is_told(rails: Path, tmp_path: Path) -> None:
    def told(*words: str) -> str:
        found = references(*words, "--out", str(tmp_path / "s"))
        assert found["exit"] == 2
        assert len(found["said"].strip().splitlines()) == 1
        return str(found["error"])

    root = f"corpus.root={rails}"
    assert "corpus.root is not set" in told()
    assert 'did you mean "Rail"?' in told(root, "--category", "Rails")
    assert "must be at least --count 5" in told(root, "--count", "5", "--sample", "4")
    assert "name one with --category" in told(root, "maps.kead.shots=4", "corpus.references.Rail=Rail")
    (rails / "Rail").rename(rails / "gizmo")
    assert "categories.gizmo" in told(root)
    assert not (tmp_path / "s").exists()
    (rails / "gizmo").rename(rails / "rail")
    assert "fewer than 10; add images or lower --count" in told(root, "--count", "10")
    assert not (tmp_path / "s").exists()
    (tmp_path / "file").write_text("")
    found = references(root, "--out", str(tmp_path / "file" / "s"))
    assert (found["exit"], "give another --out" in found["error"]) == (2, True)


def test_pictures_of_any_shape_fit(tmp_path: Path) -> None:
    for number, size in enumerate([(3000, 9), (9, 3000), (700, 700)]):
        paint(tmp_path / "photos" / "rail" / f"{'long' * 40}{number}.png", number, size)
    found = references(f"corpus.root={tmp_path / 'photos'}", "--count", "3", "--out", str(tmp_path / "s"))
    sheet = np.asarray(Image.open(found["pictures"][0]))
    assert sheet.shape[2] == 3
    assert max(sheet.shape) < 1300
