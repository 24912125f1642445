"""What the program says of itself holds: config keys in messages exist, and so do pages that are named."""

import ast
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
import typer

from agssp import app
from cluster.config import Section
from docs.generator.config import keys, slug
from pipelines.corpus.section import KEY as DATA_KEY, CorpusSection, LabelledDataSection
from tests.repository import ROOT
from training.project import Project
from tuning.forecast import ForecastSection
from tuning.gain import GainSection
from tuning.outcomes import OUTCOMES
from tuning.transfer import TransferSection

PACKAGES = ("cluster", "pipelines", "training", "tuning")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
STUDIES: dict[str, type[Section]] = {
    "transfer": TransferSection,
    "gain": GainSection,
    "forecast": ForecastSection,
}
KEYS = {key for key, _ in keys(Project)} | {
    f"{name}.{key}" for name, section in STUDIES.items() for key, _ in keys(section)
}
SECTIONS = {".".join(key.split(".")[:depth]) for key in KEYS for depth in range(1, key.count(".") + 2)}
FIRST = {section.partition(".")[0] for section in SECTIONS}
DOTTED = re.compile(rf"(?<![\w./{{}}@-])(?:{'|'.join(sorted(FIRST))})(?:\.\w+)+")
HOLE = "…"
# Dotted words with a value of an f-string in them; a name in capitals is the user's.
HOLED = re.compile(rf"(?<![\w./{{}}@{HOLE}-])(?:{HOLE}|[a-z]\w*)(?:\.(?:{HOLE}|[a-z]\w*))+")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
FILE_ENDINGS = (".parquet", ".csv", ".safetensors", ".pt", ".onnx", ".html")
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


def texts(path: Path, *, told: bool = False) -> Iterator[str]:
    """A file's texts, with `HOLE` for each value that an f-string takes in.

    Args:
        path: a source file; of another kind than Python it is one text.
        told: whether docstrings count, as those of commands do: they are the help pages.
    """
    if path.suffix != ".py":
        yield path.read_text("utf-8")
        return
    tree = ast.parse(path.read_text("utf-8"))
    left_out = set[int]() if told else docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            left_out |= {id(part) for part in node.values}
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out:
            yield node.value


def words(path: Path) -> Iterator[str]:
    """The dotted words of a file's texts, docstrings left out, that begin as config keys do."""
    for text in texts(path):
        yield from DOTTED.findall(text)


def holds(word: str) -> bool:
    """Whether a dotted word with holes can be a config key, or the end of one (holes stand for any keys)."""
    parts = word.split(".")
    for section in SECTIONS:
        keys_of = section.split(".")[-len(parts) :]
        whole = parts[0] == HOLE or len(keys_of) == section.count(".") + 1
        if whole and all(part in (HOLE, key) for part, key in zip_longest(parts, keys_of)):
            return True
        if parts[0] == HOLE and section.split(".")[-len(parts) + 1 :] == parts[1:]:
            return True
    return False


def is_known(word: str) -> bool:
    """Whether a dotted word is a config key, or something else of that form that we know."""
    path = re.sub(r"\.[A-Z_]+\b.*", "", word)  # what follows is a name of the user's
    known = path in SECTIONS or word in OUTCOMES or word in PARTS
    return known or HOLE in word or word.endswith(FILE_ENDINGS) or RAY.match(word) is not None


def test_config_keys_in_messages_exist() -> None:
    found = {(str(path.relative_to(ROOT)), word) for path in SOURCES for word in words(path)}
    assert len({word for _, word in found if word in SECTIONS}) > 40
    assert sorted((path, word) for path, word in found if not is_known(word)) == []


# Advice on keys below the one that a function is given; what else has this form is a file's name.
ADVICE = re.compile(
    rf"{HOLE}\.(?:{'|'.join(sorted({key.split('.')[-1] for key in KEYS}))})$|^(?:{'|'.join(FIRST)})\."
)


def test_keys_that_messages_put_together_exist() -> None:
    found = {
        (str(path.relative_to(ROOT)), word)
        for path in SOURCES
        for text in texts(path)
        for word in HOLED.findall(text)
        if HOLE in word and ADVICE.search(word) and not RAY.match(word)
    }
    assert len(found) > 10
    assert sorted((path, word) for path, word in found if not holds(word)) == []


@pytest.mark.parametrize(
    ("word", "known"),
    [
        (f"maps.{HOLE}.shots", True),
        (f"{HOLE}.bad_labels", True),
        (f"{HOLE}.references.{HOLE}", True),
        (f"maps.{HOLE}.shot", False),
        (f"{HOLE}.bad_label", False),
        (f"corpus.{HOLE}.shots", False),
    ],
)
def test_keys_with_holes_are_judged(word: str, known: bool) -> None:
    assert HOLED.findall(f"Lower {word}.") == [word]
    assert holds(word) == known


def test_the_sections_that_advice_is_built_on_have_the_keys_it_names() -> None:
    data = LabelledDataSection.model_validate({"train": {"root": "a"}, "test": {"root": "b"}}).as_corpus()
    several = CorpusSection.model_validate({"sources": [{"root": "a"}, {"root": "b"}]})
    for section in (CorpusSection(root="a"), several, data):
        for key, _ in section.keyed_sources():
            for name in ("root", "layout", "references", "follow_links"):
                assert re.sub(r"\d+", "N", f"{key}.{name}") in SECTIONS
    for stage in ("corpus", "maps", "predict", DATA_KEY):
        assert f"{stage}.max_bad_share" in KEYS
    for stage in ("maps", "predict"):
        assert {f"{stage}.actors", f"{stage}.gpus_per_actor"} <= KEYS
    assert {"corpus.bad_labels", f"{DATA_KEY}.bad_labels"} <= KEYS


def options(command: Any, context: Any) -> Iterator[str]:
    """Every option of a command and of those below it."""
    yield from (name for parameter in command.params for name in parameter.opts + parameter.secondary_opts)
    for name in command.list_commands(context) if hasattr(command, "list_commands") else ():
        below = command.get_command(context, name)
        yield from options(below, typer.Context(below, info_name=name, parent=context))


# Of programs that are called or spoken of: MLflow's server, pip, Ray.
FOREIGN = {
    "--app-name",
    "--artifacts-destination",
    "--workers",
    "--require-hashes",
    "--hash",
    "--gcs-address",
}


def test_options_that_messages_name_exist() -> None:
    command: Any = typer.main.get_command(app)
    known = set(options(command, typer.Context(command, info_name="agssp"))) | {"--help"}
    assert len(known) > 40
    named = {
        (str(path.relative_to(ROOT)), option)
        for path in SOURCES
        for text in texts(path, told=True)
        for option in OPTION.findall(text)
    }
    assert len({option for _, option in named}) > 30
    assert sorted((path, option) for path, option in named if option not in known | FOREIGN) == []


# Whose options the messages of a room are about.
COMMANDS_OF = {
    "tuning/table4": ("study table4",),
    "tuning/studies": ("study table2", "study fig7-threshold"),
    "tuning/transfer": ("study transfer",),
    "tuning/gain": ("study gain",),
    "tuning/forecast": ("forecast",),
    "tuning/search": ("tune pretrain", "tune finetune"),
    "tuning/thresholds": ("tune thresholds",),
    "pipelines/review": ("view",),
    "pipelines/references": ("references",),
    "cluster/jobs": ("submit", "jobs"),
    "cluster/registry": ("models",),
}


@pytest.mark.parametrize("room", COMMANDS_OF)
def test_messages_of_a_room_name_options_of_its_own_commands(room: str) -> None:
    known = set[str]()
    for words_of in COMMANDS_OF[room]:
        command: Any = typer.main.get_command(app)
        context: Any = typer.Context(command, info_name="agssp")
        for word in words_of.split():
            command = command.get_command(context, word)
            context = typer.Context(command, info_name=word, parent=context)
        known |= set(options(command, context))
    named = {
        (str(path.relative_to(ROOT)), option)
        for path in sorted((ROOT / room).rglob("*.py"))
        for text in texts(path)
        for option in OPTION.findall(text)
    }
    assert sorted((path, option) for path, option in named if option not in known | FOREIGN) == []


def test_help_pages_name_existing_keys() -> None:
    pages = [path for path in SOURCES if path.parent.name == "cli"]
    found = {
        (str(path.relative_to(ROOT)), word)
        for path in pages
        for text in texts(path, told=True)
        for word in DOTTED.findall(text)
    }
    assert len(found) > 10
    assert sorted((path, word) for path, word in found if not is_known(word)) == []


@pytest.mark.parametrize("word", ["corpus.splits", "maps.kead.shot", "ray.cpu", "finetune.loop.rate"])
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
