"""The commands as Python functions: each makes its artifact and those it needs, unless complete."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cluster.config import Source, merge, merged, validate
from cluster.registry import Registry, weights_file
from cluster.registry.pull import pull
from cluster.stages import Artifact
from pipelines.corpus import find_images
from training.export import Conditions, export_model, refuse_further
from training.inputs import Goal, open_tracker
from training.models.detectors import Detector
from training.opening import open_pipeline, open_run, whole_run
from training.pipeline import Pipeline
from training.prediction import predict_images
from training.project import Project
from training.starts import BACKBONE_FILE, WEIGHTS_FILE, load_detector as read_detector, open_model

Config = str | Path | Mapping[str, Any] | Project


def load_project(*config: Config) -> Project:
    """The project that these words describe, as on a command line.

    Args:
        config: YAML files (paths), `recipe:NAME`, nested mappings and whole projects; a later one wins.
            `section.key=value` strings override all of them, wherever they stand.

    Raises:
        UserError: the config is at fault.
    """
    document: dict[str, Any] = {}
    source, overrides = Source("Config"), []
    for word in config:
        if isinstance(word, Project):
            document = merge(document, word.model_dump(exclude_unset=True))
        elif isinstance(word, Mapping):
            document = merge(document, word)
        elif isinstance(word, str) and "=" in word:
            overrides.append(word)
        else:
            document, source = merged([str(word)], [], document)
    document, over = merged([], overrides, document)
    return validate(Project, document, replace(source, overrides=over.overrides))


@contextmanager
def open_project(*config: Config) -> Iterator[Pipeline]:
    """The stages of a project, each made when it is asked for: `corpus`, `maps`, `boxes`, `backbone`, …

    Ray is started by the first stage that needs it and ends with the block.

    Args:
        config: see `load_project`.

    Raises:
        UserError: config, workspace, tracking server or input at fault.
    """
    with open_pipeline(load_project(*config), "python") as pipeline:
        yield pipeline


def _made(config: tuple[Config, ...], goal: Goal, make: Callable[[Pipeline], Artifact]) -> Artifact:
    with open_pipeline(load_project(*config), "python", goal) as pipeline:
        return make(pipeline)


def build_corpus(*config: Config) -> Artifact:
    """List, check and split the images: `agssp corpus`.

    Args:
        config: see `load_project`.

    Returns:
        The artifact; `directory.read_table("manifest")` has the images, `results` the counts.

    Raises:
        UserError: see `open_project`.
    """
    return _made(config, "corpus", lambda pipeline: pipeline.corpus)


def train_maps(*config: Config) -> Artifact:
    """Train the head of the maps' method, on painted defects or on labels: `agssp train maps`.

    Args:
        config: see `load_project`; `maps.method` is the method.

    Returns:
        The artifact, with `head.safetensors` in its `directory`.

    Raises:
        UserError: see `open_project`; a method without a head.
    """
    return _made(config, "corpus", lambda pipeline: pipeline.head)


def make_maps(*config: Config) -> Artifact:
    """Anomaly maps of every image of the corpus, on Ray: `agssp maps`.

    For a few images without Ray see `anomaly_maps`.

    Args:
        config: see `load_project`.

    Raises:
        UserError: see `open_project`.
    """
    return _made(config, "maps", lambda pipeline: pipeline.maps)


def derive_boxes(*config: Config) -> Artifact:
    """Thresholds by category and pseudo-boxes: `agssp boxes`.

    Args:
        config: see `load_project`.

    Raises:
        UserError: see `open_project`.
    """
    return _made(config, "maps", lambda pipeline: pipeline.boxes)


def pretrain_backbone(*config: Config) -> Artifact:
    """Distil the maps into a backbone (AGBP): `agssp pretrain backbone`.

    Args:
        config: see `load_project`.

    Returns:
        The artifact, with `backbone.safetensors` in its `directory`.

    Raises:
        UserError: see `open_project`.
    """
    return _made(config, "backbone", lambda pipeline: pipeline.backbone)


def pretrain_detector(*config: Config) -> Artifact:
    """Train the whole detector on pseudo-boxes (AGDP), painted defects or both: `agssp pretrain detector`.

    Args:
        config: see `load_project`.

    Returns:
        The artifact, with `detector.safetensors` in its `directory`.

    Raises:
        UserError: see `open_project`.
    """
    return _made(config, "detector", lambda pipeline: pipeline.detector)


def finetune(*config: Config, start: str | None = None) -> Artifact:
    """The detector finetuned on the labels: `agssp finetune`.

    Args:
        config: see `load_project`.
        start: one of `finetune.starts`; None takes the one whose detector `agssp run` registers.

    Raises:
        UserError: see `open_project`.
    """
    return _made(
        config, "finetune", lambda pipeline: pipeline.finetuned(start or pipeline.project.finetune.product)
    )


def evaluate(*config: Config, start: str | None = None) -> Artifact:
    """COCO AP of the finetuned detector on the held-out images: `agssp evaluate detectors`.

    Args:
        config: see `load_project`.
        start: as for `finetune`.

    Raises:
        UserError: see `open_project`.
    """
    return _made(
        config, "finetune", lambda pipeline: pipeline.evaluated(start or pipeline.project.finetune.product)
    )


def run(*config: Config) -> Mapping[str, Any]:
    """All stages in order, to a report and a registered detector: `agssp run`.

    Args:
        config: see `load_project`.

    Returns:
        What `agssp run --json` prints: counts, seconds, the table of starts, the report's path, the model.

    Raises:
        UserError: see `open_project`.
    """
    return whole_run(load_project(*config), "run")


def predict_folder(images: str | Path, model: str | Path, *config: Config) -> Artifact:
    """Boxes of any number of images, on Ray: `agssp predict`. For a few without Ray see `detect`.

    Args:
        images: a folder, an image or a glob, local or by URI.
        model: as for `load_detector`.
        config: see `load_project`.

    Returns:
        The artifact, with `predictions.parquet` and `coco.json` in its `directory`.

    Raises:
        UserError: no image there, no such model, or see `open_project`.
    """
    project = load_project(*config)
    files = find_images(str(images))
    with (
        open_model(str(model), lambda: open_tracker(project)) as source,
        open_run(project, "predict") as site,
    ):
        return predict_images(project.predict, files=files, model=source, site=site)


def export(model: str | Path, *config: Config) -> Artifact:
    """A detector as ONNX and its library's own file, a backbone as the latter: `agssp export`.

    Further files, see `export.nms` and `export.formats`, are tried on the images of the config.

    Args:
        model: as for `load_detector`; the directory of a backbone stage too.
        config: see `load_project`.

    Raises:
        UserError: no such model, or see `open_project`; further files that can't be made here.
    """
    project = load_project(*config)
    named = project.names_images
    refuse_further(project.export, project.predict, images=named)
    files = (WEIGHTS_FILE, BACKBONE_FILE)
    with (
        open_model(str(model), lambda: open_tracker(project), files=files) as source,
        open_run(project, "export") as site,
    ):
        corpus = Pipeline(project, site).own_labelled if project.export.more and named else None
        conditions = Conditions(corpus, project.predict, project.evaluate)
        return export_model(project.export, conditions, model=source, site=site)


def load_detector(model: str | Path, *config: Config) -> Detector:
    """A trained detector on the CPU, in evaluation mode.

    Args:
        model: a .safetensors file, the directory of a finetune stage, or a registered `NAME`,
            `NAME@VERSION` or `NAME@ALIAS`.
        config: see `load_project`; only workspace and tracking are used, for registered names.

    Raises:
        UserError: no such model, or a file that is no detector.
    """
    with open_model(str(model), lambda: open_tracker(load_project(*config))) as source:
        return read_detector(source.path)


def open_registry(*config: Config) -> Registry:
    """The model registry as it is now: `models`, `version("NAME@ALIAS")`, `versions("NAME-*")`.

    Args:
        config: see `load_project`; only workspace and tracking are used.

    Raises:
        UserError: the registry can't be reached or read.
    """
    return Registry.open(open_tracker(load_project(*config)))


def pull_model(model: str, out: str | Path, *config: Config) -> Path:
    """A registered model's files in a folder `OUT/NAME-vVERSION`, digests verified: `agssp models pull`.

    Args:
        model: `NAME` (the newest), `NAME@VERSION` or `NAME@ALIAS`.
        out: local folder, made if absent.
        config: see `load_project`; only workspace and tracking are used.

    Returns:
        The weights' file in that folder.

    Raises:
        UserError: no such model, or files that can't be fetched or differ from their digests.
    """
    tracker = open_tracker(load_project(*config))
    version = Registry.open(tracker).version(model)
    return weights_file(pull(tracker, version, Path(out)), version)
