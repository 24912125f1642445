"""The roof: one command-line application that joins the packages' commands, and the Python API's names."""

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

PACKAGES = ("cluster", "pipelines", "training", "tuning")


def _hidden_packages() -> str | None:
    """A sentence about the first of our packages that a file of the user's hides; None where none is."""
    here = Path(__file__).resolve()
    # A shipped job has this file as a package's __init__, and every package in a folder of its own.
    shipped = here.name == "__init__.py"
    for name in PACKAGES:
        spec = find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None:
            continue
        own = origin.parents[2:3] == here.parents[2:3] if shipped else origin.parent.parent == here.parent
        if not own or (origin.parent.name, origin.name) != (name, "__init__.py"):
            return (
                f"{origin} hides the package {name} that agssp needs; rename it, or run Python from another "
                "folder."
            )
    return None


if hiding := _hidden_packages():
    if __name__ == "__main__":
        print(hiding, file=sys.stderr)  # noqa: T201 - nothing of ours can be imported to say it
        sys.exit(2)
    raise ImportError(hiding)

import typer  # noqa: E402 - after the check, whose answer would come from the wrong package
from typer.core import TyperCommand, TyperGroup  # noqa: E402

if TYPE_CHECKING:  # the names of API below; `as` says that they are meant for others
    from cluster.errors import UserError as UserError
    from cluster.registry import ModelVersion as ModelVersion, Registry as Registry
    from cluster.stages import Artifact as Artifact
    from pipelines.boxes.pseudo_boxes import PseudoBox as PseudoBox
    from pipelines.image_maps import (
        AnomalyMap as AnomalyMap,
        Mapper as Mapper,
        anomaly_maps as anomaly_maps,
        boxes_of as boxes_of,
    )
    from pipelines.images import ImageError as ImageError
    from training.models.detectors import Detector as Detector
    from training.pipeline import Pipeline as Pipeline
    from training.prediction.few_images import detect as detect
    from training.prediction.predict import (
        ImagePrediction as ImagePrediction,
        UnreadableImage as UnreadableImage,
    )
    from training.project import Project as Project
    from training.steps import (
        build_corpus as build_corpus,
        derive_boxes as derive_boxes,
        evaluate as evaluate,
        export as export,
        finetune as finetune,
        load_detector as load_detector,
        load_project as load_project,
        make_maps as make_maps,
        open_project as open_project,
        open_registry as open_registry,
        predict_folder as predict_folder,
        pretrain_backbone as pretrain_backbone,
        pretrain_detector as pretrain_detector,
        pull_model as pull_model,
        run as run,
        train_maps as train_maps,
    )


__version__: str  # of the installed distribution, read when asked for

# The Python API by module, in the order of its reference; imported when named, as the commands are.
API = {
    "pipelines.image_maps": ("anomaly_maps", "Mapper", "AnomalyMap", "boxes_of"),
    "pipelines.boxes.pseudo_boxes": ("PseudoBox",),
    "training.steps": (
        *("load_project", "open_project", "build_corpus", "train_maps", "make_maps", "derive_boxes"),
        *("pretrain_backbone", "pretrain_detector", "finetune", "evaluate", "run", "load_detector"),
        *("predict_folder", "export", "open_registry", "pull_model"),
    ),
    "training.prediction.few_images": ("detect",),
    "training.project": ("Project",),
    "training.pipeline": ("Pipeline",),
    "cluster.stages": ("Artifact",),
    "training.models.detectors": ("Detector",),
    "training.prediction.predict": ("ImagePrediction", "UnreadableImage"),
    "cluster.registry": ("Registry", "ModelVersion"),
    "cluster.errors": ("UserError",),
    "pipelines.images": ("ImageError",),
}
if not TYPE_CHECKING:  # to a type checker this would make every misspelt name an Any

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return version("agssp")
        for module, names in API.items():
            if name in names:
                return getattr(import_module(module), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return [*globals(), "__version__", *(name for names in API.values() for name in names)]


class Entry(NamedTuple):
    """A command of the roof, listed without its module, which is imported when the command is named.

    Attributes:
        panel: the help page's panel.
        module: the module whose typer app has the command.
        help: the help page's sentence on it, the same as its module's.
    """

    panel: str
    module: str
    help: str


LOOK, MAKE, FIND, RUN = "Look", "Make", "Find", "Run"
_PIPELINE, _DETECTOR = "training.cli.commands", "training.cli.detector_commands"
_BOXES, _DOCTOR = "training.cli.box_commands", "training.cli.doctor_command"
_EXPORT = "training.cli.export_commands"
_JOBS, _IMAGES = "cluster.cli.job_commands", "pipelines.cli"
COMMANDS = {
    "doctor": Entry(LOOK, _DOCTOR, "What this machine, workspace, tracking server and weights can do."),
    "recipes": Entry(LOOK, _PIPELINE, "The shipped configs, for use as recipe:NAME."),
    "prompts": Entry(LOOK, f"{_IMAGES}.prompt_commands", "What the encoder is told of each category."),
    "references": Entry(LOOK, f"{_IMAGES}.reference_commands", "Propose normal references on a page."),
    "view": Entry(LOOK, f"{_IMAGES}.view_commands", "Review maps and boxes on a local page."),
    "corpus": Entry(MAKE, _PIPELINE, "List, check and split the images."),
    "train": Entry(MAKE, "training.cli.head_commands", "Train what maps are made with, or a start."),
    "maps": Entry(MAKE, _PIPELINE, "Make anomaly maps with KeAD, or the method that is set."),
    "boxes": Entry(MAKE, _BOXES, "Derive pseudo-boxes (build), or write them for labelling tools."),
    "audit": Entry(MAKE, "training.cli.audit_commands", "Judge rules of boxes without labels."),
    "next": Entry(MAKE, "training.cli.next_commands", "Choose the images to label first."),
    "paint": Entry(MAKE, _PIPELINE, "Paint defects with exact boxes onto the images."),
    "pretrain": Entry(MAKE, _PIPELINE, "Pretrain a backbone (AGBP) or a detector (AGDP)."),
    "finetune": Entry(MAKE, _PIPELINE, "Finetune the detector from every start of finetune.starts."),
    "evaluate": Entry(MAKE, _PIPELINE, "Evaluate anomaly maps or finetuned detectors."),
    "register": Entry(MAKE, _PIPELINE, "Put the finetuned detector into the model registry."),
    "drift": Entry(MAKE, "training.cli.drift_command", "Tell whether new images are still the corpus'."),
    "predict": Entry(MAKE, _DETECTOR, "Find boxes in images."),
    "loop": Entry(
        MAKE, "training.cli.loop_command", "Take the next step from new images to a better version."
    ),
    "certify": Entry(
        MAKE, "training.cli.certify_command", "Certify a registered detector: one page for a quality file."
    ),
    "export": Entry(
        MAKE, "training.cli.export_commands", "Write a detector (build), or a category's maps, as ONNX."
    ),
    "report": Entry(MAKE, _PIPELINE, "Write the HTML report (and whatever it still needs)."),
    "tune": Entry(FIND, "tuning.cli.tune_commands", "Search for better settings."),
    "study": Entry(FIND, "tuning.cli.commands", "Studies: the papers' tables on your own images."),
    "forecast": Entry(FIND, "tuning.cli.forecast_commands", "Foretell what more labels would bring."),
    "models": Entry(FIND, "cluster.cli.model_commands", "Registered models: look up, promote, pull."),
    "run": Entry(RUN, _PIPELINE, "All stages in order: from images to a report and a registered detector."),
    "demo": Entry(RUN, _PIPELINE, "`run` on generated surfaces, without any data."),
    "serve": Entry(
        RUN, "training.cli.serve_command", "Serve a registered detector over HTTP; promotions take over."
    ),
    "submit": Entry(RUN, _JOBS, "Run a command as a job on a Ray cluster."),
    "jobs": Entry(RUN, _JOBS, "Jobs of a Ray cluster."),
    "tracking": Entry(RUN, "cluster.cli.tracking_commands", "A tracking server for a team."),
}
FORMER = {"encoder": "training.cli.encoder_commands"}  # names that are to go: they work, and aren't listed


class Roof(TyperGroup):
    """A group whose commands are imported when they are named; its help page is written without them."""

    listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name; None where there is none."""
        entry = COMMANDS.get(cmd_name)
        module = FORMER.get(cmd_name) if entry is None else entry.module
        if module is None:
            return None
        if self.listing and entry is not None:
            return TyperCommand(cmd_name, help=entry.help, rich_help_panel=entry.panel)
        from cluster.cli.projects import read_by

        read_by(_read_project)
        commands: Any = typer.main.get_group(import_module(module).app)
        return commands.commands[cmd_name]

    def get_params(self, ctx: Any) -> list[Any]:
        """The options; the page is one screen, so two that its reader needs least are not listed."""
        params: list[Any] = super().get_params(ctx)
        for param in params:
            if param.name in ("show_completion", "help"):
                param.hidden = True
        return params

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help page, by the entries alone."""
        self.listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self.listing = False


def _read_project(words: list[str] | None, base: Mapping[str, Any] | None = None) -> Any:
    """The project of a command line's words; its config classes are imported with the first."""
    from training.project import read_project

    return read_project(words, base)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"agssp {version('agssp')}")
        raise typer.Exit


HELP = "Anomaly-guided self-supervised pretraining of detectors; COMMAND --help tells of each."
app = typer.Typer(
    cls=Roof,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help=HELP,
)


@app.callback()
def _roof(
    _: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The roof."""


def main() -> None:
    """Entry point of the `agssp` command."""
    app()


if __name__ == "__main__":
    main()
