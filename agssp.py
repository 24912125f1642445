"""The roof: one command-line application that joins the packages' commands, and the Python API's names."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from cluster.cli.doctor_command import ground_commands
from training.cli.base import project_of, project_weights
from training.cli.commands import app as training_commands

if TYPE_CHECKING:  # the names of API below; `as` says that they are meant for others
    from cluster.errors import UserError as UserError
    from cluster.registry import ModelVersion as ModelVersion, Registry as Registry
    from cluster.stages import Artifact as Artifact
    from pipelines.boxes import PseudoBox as PseudoBox
    from pipelines.image_maps import (
        AnomalyMap as AnomalyMap,
        Mapper as Mapper,
        anomaly_maps as anomaly_maps,
        boxes_of as boxes_of,
    )
    from pipelines.images import ImageError as ImageError
    from training.models.detectors import Detector as Detector
    from training.pipeline import Pipeline as Pipeline
    from training.prediction import ImagePrediction as ImagePrediction, UnreadableImage as UnreadableImage
    from training.project import Project as Project
    from training.steps import (
        build_corpus as build_corpus,
        derive_boxes as derive_boxes,
        detect as detect,
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
    )


def _detector(app: typer.Typer) -> None:
    from training.cli.detector_commands import app as detector_commands

    app.add_typer(detector_commands)


def _encoder(app: typer.Typer) -> None:
    from training.cli.encoder_commands import app as encoder_commands

    app.add_typer(encoder_commands, name="encoder")


def _jobs(app: typer.Typer) -> None:
    from cluster.cli.job_commands import job_commands

    app.add_typer(job_commands(project_of))


def _models(app: typer.Typer) -> None:
    from cluster.cli.model_commands import app as model_commands

    app.add_typer(model_commands, name="models")


def _prompts(app: typer.Typer) -> None:
    from pipelines.cli.prompt_commands import prompt_commands

    app.add_typer(prompt_commands(project_of), name="prompts")


def _references(app: typer.Typer) -> None:
    from pipelines.cli.reference_commands import reference_commands

    app.add_typer(reference_commands(project_of))


def _study(app: typer.Typer) -> None:
    from tuning.cli.commands import app as study_commands

    app.add_typer(study_commands, name="study")


def _tune(app: typer.Typer) -> None:
    from tuning.cli.tune_commands import app as tune_commands

    app.add_typer(tune_commands, name="tune")


def _tracking(app: typer.Typer) -> None:
    from cluster.cli.tracking_commands import app as tracking_commands

    app.add_typer(tracking_commands, name="tracking")


def _view(app: typer.Typer) -> None:
    from pipelines.cli.view_commands import view_commands

    app.add_typer(view_commands(project_of))


# The Python API by module, in the order of its reference; imported when named, as the commands are.
API = {
    "pipelines.image_maps": ("anomaly_maps", "Mapper", "AnomalyMap", "boxes_of"),
    "pipelines.boxes.pseudo_boxes": ("PseudoBox",),
    "training.steps": (
        *("load_project", "open_project", "build_corpus", "make_maps", "derive_boxes", "pretrain_backbone"),
        *("pretrain_detector", "finetune", "evaluate", "run", "load_detector", "detect", "predict_folder"),
        *("export", "open_registry", "pull_model"),
    ),
    "training.project": ("Project",),
    "training.pipeline": ("Pipeline",),
    "cluster.stages.stage": ("Artifact",),
    "training.models.detectors": ("Detector",),
    "training.prediction.predict": ("ImagePrediction", "UnreadableImage"),
    "cluster.registry.registry": ("Registry", "ModelVersion"),
    "cluster.errors": ("UserError",),
    "pipelines.images.reading": ("ImageError",),
}
if not TYPE_CHECKING:  # to a type checker this would make every misspelt name an Any

    def __getattr__(name: str) -> Any:
        for module, names in API.items():
            if name in names:
                return getattr(import_module(module), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return [*globals(), *(name for names in API.values() for name in names)]


# Imported when named: with every library loaded, `agssp models list` would take six seconds to start.
LATER: dict[str, Callable[[typer.Typer], None]] = {
    "encoder": _encoder,
    "export": _detector,
    "jobs": _jobs,
    "models": _models,
    "predict": _detector,
    "prompts": _prompts,
    "references": _references,
    "study": _study,
    "submit": _jobs,
    "tracking": _tracking,
    "tune": _tune,
    "view": _view,
}


class Roof(TyperGroup):
    """A group some of whose commands are imported only when they are named, or listed by --help."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names: those at hand, then those imported later."""
        return [*super().list_commands(ctx), *LATER]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name; None where there is none."""
        if cmd_name not in LATER:
            return super().get_command(ctx, cmd_name)
        part = typer.Typer(add_completion=False)
        LATER[cmd_name](part)
        return typer.main.get_group(part).commands[cmd_name]


app = typer.Typer(
    cls=Roof,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Anomaly-guided self-supervised pretraining: from unlabelled surface images to a better detector.",
)
app.add_typer(training_commands)
app.add_typer(ground_commands(project_of, project_weights))


def main() -> None:
    """Entry point of the `agssp` command."""
    app()


if __name__ == "__main__":
    main()
