"""What the program says of itself holds: config keys in messages exist, and so do pages that are named."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generator.config import keys, slug
from tests.repository import ROOT
from training.project import Project
from tuning.outcomes import OUTCOMES
from tuning.transfer import TransferSection

PACKAGES = ("cluster", "pipelines", "training", "tuning")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
KEYS = {key for key, _ in keys(Project)} | {f"transfer.{key}" for key, _ in keys(TransferSection)}
SECTIONS = {".".join(key.split(".")[:depth]) for key in KEYS for depth in range(1, key.count(".") + 2)}
FIRST = {section.partition(".")[0] for section in SECTIONS}
DOTTED = re.compile(rf"(?<![\w./{{}}@-])(?:{'|'.join(sorted(FIRST))})(?:\.\w+)+")
FILE_ENDINGS = (".parquet", ".safetensors", ".pt", ".onnx", ".html")
RAY = re.compile(r"ray\.(?:data|train|init|dashboard)\b")  # Ray's own modules and calls
PARTS = {"backbone.body", "backbone.fpn"}  # of torchvision's state dicts
FILE = re.compile(
    r"(?<![\w./-])((?:cluster|pipelines|training|tuning|tests|docs|benchmarks|examples)/[\w./-]+\.(?:py|md|yaml))\b"
)
PAGE = re.compile(r"docs/[\w/-]+\.md(?:#[\w-]+)?")


def docstrings(tree: ast.AST) -> set[int]:
    """The constants that are docstrings, by identity."""
    bodies = [node.body for node in ast.walk(tree) if isinstance(getattr(node, "body", None), list)]  # type: ignore[attr-defined]
    return {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}


def words(path: Path) -> Iterator[str]:
    """The dotted words of a file's texts, docstrings left out, that begin as config keys do."""
    tree = ast.parse(path.read_text("utf-8"))
    told = docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield from DOTTED.findall(node.value)


def is_known(word: str) -> bool:
    """Whether a dotted word is a config key, or something else of that form that we know."""
    path = re.sub(r"\.[A-Z_]+\b.*", "", word)  # what follows is a name of the user's
    known = path in SECTIONS or word in OUTCOMES or word in PARTS
    return known or word.endswith(FILE_ENDINGS) or RAY.match(word) is not None


def test_config_keys_in_messages_exist() -> None:
    found = {(str(path.relative_to(ROOT)), word) for path in SOURCES for word in words(path)}
    assert len({word for _, word in found if word in SECTIONS}) > 40
    assert sorted((path, word) for path, word in found if not is_known(word)) == []


@pytest.mark.parametrize("word", ["corpus.split", "maps.kead.shot", "ray.cpu", "finetune.loop.rate"])
def test_a_key_that_is_none_would_be_found(word: str) -> None:
    assert DOTTED.findall(f"Lower {word}.") == [word]
    assert not is_known(word)


def test_files_that_pages_and_docstrings_name_exist() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks/README.md"]
    pages += [path for path in (ROOT / "cluster/deploy").rglob("*") if path.is_file()]
    named = {
        (str(path.relative_to(ROOT)), file)
        for path in [*pages, *SOURCES]
        if "_build" not in path.parts
        for file in FILE.findall(path.read_text("utf-8"))
        if not re.search(r"[A-Z_]{3,}\.py", file)  # a name of the reader's own
    }
    assert len(named) > 50
    lost = [(where, file) for where, file in sorted(named) if not (ROOT / file).exists()]
    assert lost == []


def test_pages_that_the_code_names_exist() -> None:
    named = {
        (str(path.relative_to(ROOT)), page)
        for folder in (*PACKAGES, "tests", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in {".py", ".yaml"}
        for page in PAGE.findall(path.read_text("utf-8"))
    }
    assert len(named) > 15
    for where, page in sorted(named):
        file, _, anchor = page.partition("#")
        assert (ROOT / file).is_file(), f"{where}: {page}"
        lines = (ROOT / file).read_text("utf-8").splitlines()
        anchors = {slug(line.lstrip("#").strip()) for line in lines if line.startswith("#")}
        assert not anchor or anchor in anchors, f"{where}: {page}"
