"""What a command's words tell before a job is made of it: none is lost, none refused wrongly."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

import agssp
from cluster.cli.job_commands import app
from cluster.cli.job_words import WITHOUT_WORKSPACE, check_workspace, ground_of_words
from cluster.cli.projects import read_by
from cluster.errors import UserError
from training.project import read_project

read_by(read_project)


@pytest.mark.parametrize("command", sorted(set(agssp.COMMANDS) - WITHOUT_WORKSPACE))
def test_no_command_leaves_its_results_in_a_folder_of_a_node(command: str) -> None:
    words = [command, "workspace=runs/line"]
    with pytest.raises(UserError, match="workspace=runs/line is relative"):
        check_workspace(words, ground_of_words(words))
    for shared in ("s3://plant/runs", "/mnt/runs"):
        words = [command, f"workspace={shared}"]
        check_workspace(words, ground_of_words(words))


def test_the_registry_of_a_server_and_the_encoder_need_no_workspace() -> None:
    for words in (
        ["models", "list", "tracking.uri=http://mlflow:5000"],
        ["train", "encoder", "--out", "/mnt/encoder"],
        ["recipes"],
    ):
        check_workspace(words, ground_of_words(words))


@pytest.mark.parametrize(
    "words",
    [
        ["tune", "finetune", "--search", "finetune.loop.lr=1e-4..1e-2:log"],
        ["tune", "finetune", "--search", "finetune.freeze=[none, backbone]", "--trials", "4"],
        ["models", "versions", "line-*", "--tag", "corpus=3fa9*"],
        ["study", "gain", "strips", "gain.sources=[both]", "gain.seeds=[0,1]"],
        ["study", "transfer", "castings", "transfer.tasks=[detection]"],
        ["forecast", "strips", "forecast.targets=[50]"],
    ],
)
def test_words_that_are_no_projects_settings_are_sent(words: list[str]) -> None:
    words = [*words, "workspace=s3://plant/runs", "ray.cpus=2"]
    ground = ground_of_words(words)
    assert (ground.workspace, ground.ray.cpus) == ("s3://plant/runs", 2)
    check_workspace(words, ground)


def test_files_of_studies_are_no_configs_of_a_project(tmp_path: Path) -> None:
    sets, settings = tmp_path / "sets.yaml", tmp_path / "transfer.yaml"
    sets.write_text("Casting Billet: {corpus: {root: /data/billet}}\n")
    settings.write_text("transfer: {tasks: [detection]}\nworkspace: s3://plant/runs\n")
    for words in (["study", "table5", "--data", str(sets)], ["study", "transfer", "castings"]):
        assert ground_of_words([*words, str(settings)]).workspace == "s3://plant/runs"


def test_a_mistyped_setting_is_told_before_a_job_is_made() -> None:
    for words in (["run", "finetune.limt=3"], ["maps", "--json", "workspace=[1]"]):
        with pytest.raises(UserError, match=r'did you mean "limit"|workspace'):
            ground_of_words(words)


@pytest.mark.parametrize("word", ["nan", "inf"])
@pytest.mark.parametrize("option", ["--cpus", "--gpus", "--memory-gb"])
def test_amounts_that_are_no_numbers_are_refused(option: str, word: str) -> None:
    result = CliRunner().invoke(app, ["submit", option, word, "recipes"])
    assert result.exit_code == 2
    assert option in result.stderr
    assert "Traceback" not in result.stderr
