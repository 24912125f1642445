"""lightly-train as a stage: a child process in its own environment, for as long as our method took."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.real_surfaces.settings import LIGHTLY, LightlySection
from cluster.errors import UserError
from cluster.privacy import QUIET_ENVIRONMENT
from cluster.progress import say
from cluster.stages import Artifact, Site, Workbench, ensure
from training.starts import state_digest
from training.weights import load_weights, save_weights

CHILD = Path(__file__).with_name("lightly_child.py")
FILE = "weights.safetensors"
VERSION = "0.18.0"
MISSING = f"skipped, ${LIGHTLY} names no Python with lightly-train[ultralytics]=={VERSION} (make rivals)"
TAIL = 2000  # characters of a failed child's output that are told
ASK = "from importlib.metadata import version; version('lightly-train')"


def lightly_python() -> str | None:
    """The Python that `$AGSSP_BENCH_LIGHTLY` names; None when it is not set.

    Raises:
        UserError: it is no Python that has lightly-train.
    """
    python = os.environ.get(LIGHTLY)
    if not python:
        return None
    program = shutil.which(python)
    if program is None:
        raise UserError(f"${LIGHTLY}={python} is no program; make rivals makes one.")
    if subprocess.run([program, "-c", ASK], capture_output=True, env=environment(None)).returncode:
        raise UserError(f"${LIGHTLY}={python} has no lightly-train; make rivals makes one that has.")
    return str(Path(program).absolute())  # the child runs elsewhere; a link is what makes it that environment


def environment(cache: Path | None) -> dict[str, str]:
    """A child's environment: ours, without our modules, with its telemetry off.

    Args:
        cache: the folder for lightly-train's other files.
    """
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    variables |= QUIET_ENVIRONMENT | {"LIGHTLY_TRAIN_EVENTS_DISABLED": "1"}
    if cache is not None:
        variables["LIGHTLY_TRAIN_CACHE_DIR"] = str(cache)
    return variables


def ask_child(python: str, request: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Run the child in a folder; what it says of its work.

    Raises:
        RuntimeError: it failed; the end of its output.
    """
    path = folder / "request.json"
    path.write_text(json.dumps({**request, "folder": str(folder)}))
    with (folder / "log").open("w") as log:
        code = subprocess.run(
            [python, "-P", str(CHILD), str(path)],  # -P: lest this folder's lightly.py be taken for theirs
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment(folder / "cache"),
        ).returncode
    if code:
        raise RuntimeError(f"lightly-train ended with {code}:\n{(folder / 'log').read_text()[-TAIL:]}")
    done: dict[str, Any] = json.loads((folder / "done.json").read_text())
    return done


@dataclass(frozen=True)
class Rival:
    """One call of lightly-train.

    Attributes:
        section: the rival's settings.
        python: the Python that has lightly-train.
        images: folder of the corpus.
        start: weights of a whole YOLOv8n, .safetensors or .pt; None is random.
        seconds: the time for one call of it; the two short ones that time its steps are not counted.
        seed: the random seed of everything.
    """

    section: LightlySection
    python: str
    images: Path
    start: Path | None
    seconds: float
    seed: int


def pretrain_lightly(rival: Rival, *, site: Site, corpus: Artifact) -> Artifact:
    """Pretrain YOLOv8n on the corpus' images; a killed one begins anew.

    Writes `weights.safetensors`, a plain state dict of the whole network.

    Args:
        rival: what is called, and for how long.
        site: workspace and tracking run.
        corpus: the artifact of those images.
    """

    def body(bench: Workbench) -> Mapping[str, Any]:
        say(f"lightly-train: {rival.section.method} for {rival.seconds / 60:.1f} minutes")
        with tempfile.TemporaryDirectory() as folder:
            request = {**config, "images": str(rival.images), "start": None}
            if state is not None:
                request["start"] = str(Path(folder) / "start.safetensors")
                save_weights(Path(request["start"]), state, {})
            done = ask_child(rival.python, request, Path(folder))
            bench.directory.put(Path(folder) / FILE, FILE)
        return done

    state = load_weights(rival.start)[0] if rival.start else None
    config = {**rival.section.model_dump(mode="json"), "seconds": round(rival.seconds, 1), "seed": rival.seed}
    return ensure(
        "lightly_train",
        site=site,
        config=config,
        inputs={"corpus": corpus},
        extra={"start": state_digest(state) if state else "scratch"},
        body=body,
    )
