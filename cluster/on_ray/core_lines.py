"""Lines of Ray's core that look like errors and ask nothing of anybody stay out of stderr."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Ray says so of every job with actors, whose parts the command holds till the job ends (docs/failures.md).
HARMLESS = r"core_worker\.cc:\d+: Actor with class name: .* has constructor arguments in the object store"
_SIEVE = """
import re, sys
harmless = re.compile(sys.argv[1].encode())
for line in sys.stdin.buffer:
    if not harmless.search(line):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
"""
STDERR = 2
LAST_LINES_S = 2.0  # seconds in which the sieve writes what came last


@contextmanager
def core_lines_sieved() -> Iterator[None]:
    """Within the block harmless lines that are not Python's go nowhere; all others reach stderr as before.

    Python's own `sys.stderr` goes around the sieve, so that a terminal stays one. The sieve is a process of
    its own: what a core says as it dies arrives, too. Nothing is done where `sys.stderr` is something else
    than the process', as in a notebook.
    """
    before = sys.stderr
    try:
        is_own = before.fileno() == STDERR
    except (OSError, ValueError, AttributeError):  # closed, replaced, or none
        is_own = False
    if not is_own:
        yield
        return
    before.flush()
    kept = os.dup(STDERR)
    sieve = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", _SIEVE, HARMLESS],
        stdin=subprocess.PIPE,
        stdout=kept,
        start_new_session=True,  # Ctrl-C is for the command
    )
    assert sieve.stdin is not None
    os.dup2(sieve.stdin.fileno(), STDERR)
    sieve.stdin.close()
    sys.stderr = io.TextIOWrapper(
        io.FileIO(kept, "w"), encoding=before.encoding, errors=before.errors, line_buffering=True
    )
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, STDERR)
        sys.stderr.close()
        sys.stderr = before
        with suppress(subprocess.TimeoutExpired):  # another process may hold the pipe's other end
            sieve.wait(LAST_LINES_S)
