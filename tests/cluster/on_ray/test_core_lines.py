"""What Ray's core writes past Python: harmless lines go nowhere, all others arrive, a dying core's too."""

import re
import signal
import subprocess
import sys

from cluster.on_ray.core_lines import HARMLESS

NOISE = (
    "[2026-01-01 00:00:00,000 E 1 2] core_worker.cc:2465: Actor with class name: 'MapWorker(MapBatches(F))' "
    "and ID: '5b0e' has constructor arguments in the object store and max_restarts > 0. If the arguments go "
    "out of scope or are lost, the actor restart will fail."
)
REAL = "[2026-01-01 00:00:00,000 E 1 2] gcs_rpc_client.cc:151: Failed to connect to GCS at address 127.0.0.1"
HEAD = "import os, sys\nfrom cluster.on_ray.core_lines import core_lines_sieved\n"


def stderr_of(body: str) -> tuple[str, int]:
    script = f"{HEAD}noise, real = {NOISE!r}, {REAL!r}\n{body}"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.stdout == ""
    return run.stderr, run.returncode


def test_harmless_lines_go_nowhere_and_others_arrive() -> None:
    told, code = stderr_of(
        "with core_lines_sieved():\n"
        "    os.write(2, f'{noise}\\n{real}\\n'.encode())\n"
        "    print('ours: ü', file=sys.stderr)\n"
        "    os.write(2, f'{real} again'.encode())\n"
        "os.write(2, f'\\n{noise} after\\n'.encode())\n"
        "print('the end', file=sys.stderr)\n"
    )
    assert code == 0
    lines = told.splitlines()
    assert lines.index(REAL) < lines.index(f"{REAL} again") < lines.index(f"{NOISE} after")
    assert sorted(lines) == sorted([REAL, "ours: ü", f"{REAL} again", f"{NOISE} after", "the end"])


def test_last_words_of_a_dying_core_arrive() -> None:
    told, code = stderr_of(
        "with core_lines_sieved():\n    os.write(2, f'{noise}\\n{real}\\n'.encode())\n    os.abort()\n"
    )
    assert code == -signal.SIGABRT
    assert told.splitlines() == [REAL]


def test_a_replaced_stderr_is_left_alone() -> None:
    told, _ = stderr_of(
        "import io\nsys.stderr = mine = io.StringIO()\n"
        "with core_lines_sieved():\n    os.write(2, f'{noise}\\n'.encode())\n    assert sys.stderr is mine\n"
    )
    assert told.splitlines() == [NOISE]


def test_a_block_in_a_block_ends_in_order() -> None:
    told, _ = stderr_of(
        "with core_lines_sieved():\n    with core_lines_sieved():\n"
        "        os.write(2, f'{noise}\\n{real}\\n'.encode())\n"
        "    os.write(2, b'between\\n')\n"
    )
    assert told.splitlines() == [REAL, "between"]


def test_the_pattern_is_of_that_line_alone() -> None:
    assert re.search(HARMLESS, NOISE)
    assert not re.search(HARMLESS, REAL)
    assert not re.search(HARMLESS, "core_worker.cc:1: Actor with class name: 'A' died")
