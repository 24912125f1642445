"""The roof: one command-line application that joins the packages' commands."""

import typer

from cluster.commands import ground_commands
from pipelines.encoder_commands import app as encoder_commands
from pipelines.prompt_commands import prompt_commands
from pipelines.reference_commands import reference_commands
from training.commands import app as training_commands
from training.commands import project_of, project_weights
from training.detector_commands import app as detector_commands
from tuning.commands import app as study_commands
from tuning.tune_commands import app as tune_commands

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Anomaly-guided self-supervised pretraining: from unlabelled surface images to a better detector.",
)
app.add_typer(training_commands)
app.add_typer(detector_commands)
app.add_typer(ground_commands(project_of, project_weights))
app.add_typer(encoder_commands, name="encoder")
app.add_typer(prompt_commands(project_of), name="prompts")
app.add_typer(reference_commands(project_of))
app.add_typer(study_commands, name="study")
app.add_typer(tune_commands, name="tune")


def main() -> None:
    """Entry point of the `agssp` command."""
    app()


if __name__ == "__main__":
    main()
