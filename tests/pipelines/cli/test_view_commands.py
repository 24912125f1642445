"""`agssp view` as typed: its address, its end, its faults; and the references it prints for the config."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from agssp import app
from benchmarks.review_page import write_workspace
from cluster.storage.storage import Storage
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection
from pipelines.references.page import references_patch
from tests.repository import ROOT
from training.project import Project


def paint(path: Path, grey: int) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((16, 16), grey, np.uint8))
    return str(path)


def refused(*words: str) -> str:
    """The sentence of a command that ends with 2."""
    result = CliRunner().invoke(app, ["view", *words, "--json"])
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    error: str = json.loads(result.stdout.strip().splitlines()[-1])["error"]
    return error


def test_faults_are_one_sentence_and_write_nothing(tmp_path: Path) -> None:
    assert "has no finished anomaly maps; run agssp maps" in refused(f"workspace={tmp_path / 'none'}")
    assert not (tmp_path / "none").exists()
    storage = Storage.open(str(tmp_path))
    write_workspace(storage, 10, tmp_path)
    assert "valid: dddd" in refused(f"workspace={tmp_path}", "--maps", "ffff")
    storage.at("review").write("decisions.json", b"{")
    assert "The review" in refused(f"workspace={tmp_path}")
    (tmp_path / "maps" / ("d" * 16) / "maps" / "part-000000.parquet").write_bytes(b"PAR1")
    assert "can't be read" in refused(f"workspace={tmp_path}")


@pytest.mark.slow
def test_it_answers_until_it_is_interrupted(tmp_path: Path) -> None:
    write_workspace(Storage.open(str(tmp_path)), 10, tmp_path)
    command = [sys.executable, "-m", "agssp", "view", f"workspace={tmp_path}", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=dict(os.environ)
    ) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        with urllib.request.urlopen(f"{url}gallery.json", timeout=30) as answer:
            assert len(json.load(answer)["images"]["id"]) == 10
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_reference_lines_name_just_the_chosen_images(tmp_path: Path) -> None:
    root, golden = tmp_path / "photos", tmp_path / "golden"
    old = [paint(root / "Rail" / "references" / f"{n}.png", n) for n in range(3)]
    new = paint(root / "Rail" / "[odd] name*.png", 9)
    other = paint(root / "billet" / "references" / "0.png", 20)
    paint(root / "billet" / "1.png", 21)
    outside = paint(golden / "1.png", 30)
    section = CorpusSection(
        root=str(root), references={"Rail": (str(golden),), "billet": ("billet/references",)}
    )
    text = references_patch({"Rail": [old[1], new, outside]}, section)
    accepted = Project.model_validate(yaml.safe_load(text) | {"workspace": "w"}).corpus
    merged = section.model_copy(update={"references": {**section.references, **accepted.references}})
    candidates = Listing(merged).reference_candidates(merged)
    assert set(candidates["Rail"].uris.to_pylist()) == {old[1], new, outside}
    assert candidates["Rail"].most is None
    assert set(candidates["billet"].uris.to_pylist()) == {other}


def test_reference_lines_of_several_sources_keep_the_others(tmp_path: Path) -> None:
    a = [paint(tmp_path / "a" / "Rail" / f"{n}.png", n) for n in range(3)]
    b = [paint(tmp_path / "b" / "Rail" / f"{n}.png", 50 + n) for n in range(3)]
    paint(tmp_path / "b" / "billet" / "1.png", 70)
    sources: list[dict[str, object]] = [{"root": str(tmp_path / "a")}]
    sources += [
        {"root": str(tmp_path / "b"), "references": {"billet": ["billet/1.png"], "Rail": ["Rail/0.png"]}}
    ]
    section = CorpusSection.model_validate({"sources": sources})
    text = references_patch({"Rail": [a[0], b[2]]}, section)
    after = CorpusSection.model_validate(yaml.safe_load(text)["corpus"])
    candidates = Listing(after).reference_candidates(after)
    assert set(candidates["Rail"].uris.to_pylist()) == {a[0], b[2]}
    assert set(candidates["billet"].uris.to_pylist()) == {str(tmp_path / "b" / "billet" / "1.png")}
