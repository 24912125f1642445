"""The roof: one command-line application that joins the packages' commands."""

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperGroup

from cluster.commands import ground_commands
from training.commands import app as training_commands
from training.commands import project_of, project_weights


def _detector(app: typer.Typer) -> None:
    from training.detector_commands import app as detector_commands

    app.add_typer(detector_commands)


def _encoder(app: typer.Typer) -> None:
    from pipelines.encoder_commands import app as encoder_commands

    app.add_typer(encoder_commands, name="encoder")


def _jobs(app: typer.Typer) -> None:
    from cluster.job_commands import job_commands

    app.add_typer(job_commands(project_of))


def _models(app: typer.Typer) -> None:
    from cluster.model_commands import app as model_commands

    app.add_typer(model_commands, name="models")


def _prompts(app: typer.Typer) -> None:
    from pipelines.prompt_commands import prompt_commands

    app.add_typer(prompt_commands(project_of), name="prompts")


def _references(app: typer.Typer) -> None:
    from pipelines.reference_commands import reference_commands

    app.add_typer(reference_commands(project_of))


def _study(app: typer.Typer) -> None:
    from tuning.commands import app as study_commands

    app.add_typer(study_commands, name="study")


def _tune(app: typer.Typer) -> None:
    from tuning.tune_commands import app as tune_commands

    app.add_typer(tune_commands, name="tune")


def _tracking(app: typer.Typer) -> None:
    from cluster.tracking_commands import app as tracking_commands

    app.add_typer(tracking_commands, name="tracking")


def _view(app: typer.Typer) -> None:
    from pipelines.review.view_commands import view_commands

    app.add_typer(view_commands(project_of))


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
