"""`python -m benchmarks NAME|all [--json]`: run measurements, print their rows."""

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime

from benchmarks.registry import ALONE, BENCHMARKS, Row, find
from cluster.errors import UserError


def main(arguments: list[str]) -> int:
    """Run; 0 when every goal is met, 1 when one is missed, 2 for an unknown name or a user's fault."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measurements side by side.")
    parser.add_argument("name", help=f"all, or one of: {', '.join(BENCHMARKS)}")
    parser.add_argument("--json", action="store_true", help="end with one JSON line per benchmark")
    options = parser.parse_args(arguments)
    names = [n for n in BENCHMARKS if n not in ALONE] if options.name == "all" else [options.name]
    try:
        runs = {name: find(name) for name in names}
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    missed = False
    documents = []
    for name, run in runs.items():
        print(f"{name} on {machine()}", flush=True)
        rows = []
        try:
            for row in run():
                print(line(row), flush=True)
                rows.append(row)
        except UserError as error:
            print(error, file=sys.stderr)
            return 2
        missed |= any(row.ok is False for row in rows)
        documents.append(
            {
                "name": name,
                "rows": [row.document() for row in rows],
                "machine": machine(),
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )
    if options.json:
        for document in documents:
            print(json.dumps(document, ensure_ascii=False))
    return 1 if missed else 0


def line(row: Row) -> str:
    """One row of the table."""
    value = "skipped" if row.value is None else f"{row.value:.4g}"
    mark = {True: "ok", False: "MISSED", None: ""}[row.ok]
    return f"  {row.what:<64} {value:>9}  {row.goal:<10} {mark}".rstrip()


def machine() -> str:
    """Processor architecture, cores this process may use, accelerators."""
    import torch

    accelerator = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores{accelerator}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
