"""Commands of agssp in the test's own process: no interpreter starts, and Ray may run already."""

import json
from typing import Any

from typer.testing import CliRunner, Result

from agssp import app


def run(*words: str) -> tuple[dict[str, Any], Result]:
    """Run a command that succeeds; its JSON, and all that it said."""
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, f"{' '.join(words)}\n{done.output[-3000:]}\n{done.exception!r}"
    return json.loads(done.stdout.strip().splitlines()[-1]), done
