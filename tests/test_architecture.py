"""The house stays as designed: which room may import which, where the glue is, and what a face may show."""

import ast
from importlib import import_module
from pathlib import Path

import PIL.Image
import pytest

from docs.generator.rooms import faults, room_imports
from tests.repository import ROOT

PACKAGES = ("cluster", "pipelines", "training", "tuning")  # each may import itself and those before it
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FACES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("__init__.pyi"))

# A room with the rooms of its own package that it may import; every room may import the packages below it.
ROOMS = {
    "cluster.config": "config_paths errors fault_words recipes storage yaml_files",
    "cluster.config_paths": "",
    "cluster.cpu_products": "",
    "cluster.errors": "",
    "cluster.fault_words": "",
    "cluster.html_page": "",
    "cluster.json_text": "",
    "cluster.privacy": "",
    "cluster.progress": "",
    "cluster.recipes": "yaml_files",
    "cluster.yaml_files": "errors",
    "cluster.storage": "errors",
    "cluster.on_ray": "config errors privacy progress",
    "cluster.tracking": "config config_paths errors json_text progress storage",
    "cluster.stages": "progress storage",
    "cluster.registry": "errors json_text stages storage tracking verdicts",
    "cluster.verdicts": "",
    "cluster.jobs": "errors on_ray privacy progress stages storage",
    "cluster.cli": "*",
    "pipelines.category_names": "",
    "pipelines.image_maps": "boxes device images maps",
    "pipelines.device": "",
    "pipelines.images": "",
    "pipelines.tables": "",
    "pipelines.surfaces": "",
    "pipelines.painting": "images surfaces tables",
    "pipelines.annotations": "images",
    "pipelines.layouts": "annotations images",
    "pipelines.encoder": "category_names",
    "pipelines.corpus": "annotations category_names images layouts tables",
    "pipelines.banks": "encoder",
    "pipelines.heads": "banks encoder",
    "pipelines.maps": "annotations banks corpus encoder heads images tables",
    "pipelines.boxes": "images maps tables",
    "pipelines.audit": "boxes maps painting tables",
    "pipelines.choice": "banks corpus encoder maps tables",
    "pipelines.drift": "choice corpus device encoder image_maps images maps tables",
    "pipelines.labelling": "annotations boxes images tables",
    "pipelines.references": "annotations category_names corpus device encoder images maps",
    "pipelines.review": "boxes choice corpus images maps references tables",
    "pipelines.cli": "*",
    "training.weights": "",
    "training.models": "weights",
    "training.metrics": "models",
    "training.runtimes": "models weights",
    "training.pictures": "models",
    "training.loop": "models weights",
    "training.released_keys": "weights",
    "training.starts": "models released_keys weights",
    "training.agbp": "loop models pictures starts weights",
    "training.detection": "loop metrics models pictures prediction starts weights",
    "training.dense": "detection loop metrics models pictures starts weights",
    "training.prediction": "metrics models pictures runtimes starts",
    "training.evaluation": "detection metrics models pictures prediction starts",
    "training.certificate": "detection metrics models pictures prediction starts weights",
    "training.export": "detection evaluation metrics models pictures prediction runtimes starts weights",
    "training.active_learning": "detection evaluation export metrics models starts",
    "training.serving": "metrics models pictures prediction starts",
    "training.report": "agbp metrics models pictures starts",
    "training.encoder": "",
    "training.heads": "loop models pictures",
    "training.project": "*",
    "training.inputs": "*",
    "training.model_checks": "*",
    "training.certified": "*",
    "training.drift": "*",
    "training.improving": "*",
    "training.next_images": "*",
    "training.data_pipeline": "heads inputs loop project",
    "training.opening": "*",
    "training.pipeline": "*",
    "training.served": "*",
    "training.steps": "*",
    "training.cli": "*",
    "tuning.outcomes": "",
    "tuning.markdown": "",
    "tuning.paired": "",
    "tuning.finished": "",
    "tuning.image_counts": "",
    "tuning.pace": "",
    "tuning.presets": "",
    "tuning.start_words": "",
    "tuning.study_folder": "",
    "tuning.space": "",
    "tuning.thresholds": "space",
    "tuning.search": "outcomes pace space",
    "tuning.studies": "finished image_counts markdown outcomes pace paired start_words study_folder "
    "thresholds",
    "tuning.table4": "markdown study_folder",
    "tuning.transfer": "finished image_counts markdown pace paired presets study_folder",
    "tuning.gain": "markdown pace presets start_words study_folder",
    "tuning.forecast": "image_counts markdown pace presets start_words study_folder",
    "tuning.cli": "*",
}
# Where Ray, MLflow and typer may be imported: whole rooms, and single files of others.
GLUE_ROOMS = ("on_ray", "jobs", "tracking", "registry", "cli")
GLUE_FILES = {
    "pipelines/tables/giving_up.py",
    "pipelines/tables/place.py",
    "pipelines/tables/table_job.py",
    "training/loop/fit_on_ray.py",
    "training/steps.py",
    "training/opening.py",
    "training/served.py",
    "training/serving/deployment.py",
    "training/serving/ray_front.py",
    "training/serving/replica.py",
    "training/serving/running.py",
    "tuning/search/tuner.py",
}


def imported(path: Path) -> set[str]:
    """Modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_there_is_something_to_check() -> None:
    assert len(SOURCES) > 250
    assert len(FACES) > 30


def test_no_arrow_runs_upwards_and_no_circle_is_left() -> None:
    assert faults(room_imports()) == []


def test_every_room_imports_what_the_table_lets_it() -> None:
    rooms = {room: others for room, others in room_imports().items() if room.count(".") == 1}
    assert rooms.keys() == ROOMS.keys()
    for room, others in rooms.items():
        package = room.partition(".")[0]
        beside = {other.partition(".")[2] for other in others if other.startswith(f"{package}.")}
        if ROOMS[room] != "*":
            assert beside <= set(ROOMS[room].split()), room


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_is_entered_by_its_face(path: Path) -> None:
    """Other rooms' names come from the face; a file is named only where its function is called as it is."""
    here = ".".join(path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        package, _, stem = node.module.rpartition(".")
        face = ROOT / package.replace(".", "/") / "__init__.pyi"
        if package == here or not face.exists() or (ROOT / node.module.replace(".", "/")).is_dir():
            continue
        files = {file.stem for file in face.parent.iterdir()}
        assert all(alias.name in files for alias in node.names), f"{node.module}: {stem}"


@pytest.mark.parametrize("face", FACES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_face_shows_what_is_there(face: Path) -> None:
    room = import_module(".".join(face.relative_to(ROOT).parts[:-1]))
    assert room.__doc__
    files = {file.stem for file in face.parent.iterdir()}
    for name in room.__all__:
        assert name not in files, f"{name} is a file of the room too"
        assert getattr(room, name) is not None


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_mathematics_is_free_of_glue(path: Path) -> None:
    place = path.relative_to(ROOT)
    if set(place.parts) & set(GLUE_ROOMS) or str(place) in GLUE_FILES or path.stem.endswith("stage"):
        return
    assert not {name.split(".")[0] for name in imported(path)} & {"ray", "mlflow", "typer"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_are_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 330
    assert path.stem not in {"utils", "helpers", "manager", "common", "misc"}


def test_ultralytics_has_one_door() -> None:
    users = [path for path in SOURCES if any(name.startswith("ultralytics") for name in imported(path))]
    assert [path.name for path in users] == ["ultralytics_library.py"]


def test_importing_ultralytics_leaves_pillow_alone() -> None:
    before = PIL.Image.open
    assert before.__module__ == "PIL.Image"
    import training.models.ultralytics_library  # noqa: F401

    assert PIL.Image.open.__module__ == "PIL.Image"
