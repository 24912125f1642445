"""What a config alone refuses is refused before a library of models is read, which takes seconds."""

import subprocess
import sys
from pathlib import Path

from tests.repository import ROOT

COMMANDS = (
    ["next"],
    ["paint"],
    ["audit", "boxes"],
    ["drift", "{folder}"],
    ["certify", "line"],
    ["evaluate", "maps"],
    ["register"],
    ["report"],
)
CODE = """
import sys
from typer.testing import CliRunner
from agssp import app
for words in {commands}:
    result = CliRunner().invoke(app, [*words, "workspace={workspace}"])
    assert result.exit_code == 2, (words, result.stderr)
    assert "corpus.root is not set" in result.stderr, (words, result.stderr)
    loaded = {{"torch", "ray", "open_clip", "ultralytics", "mlflow"}} & set(sys.modules)
    assert not loaded, (words, loaded)
"""


def test_no_command_reads_a_library_of_models_to_refuse_a_config(tmp_path: Path) -> None:
    (tmp_path / "new.png").write_bytes(b"no image")
    commands = [[word.format(folder=tmp_path) for word in words] for words in COMMANDS]
    code = CODE.format(commands=commands, workspace=tmp_path / "w")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1000:]
