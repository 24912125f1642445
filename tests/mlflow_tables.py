"""MLflow's tables, made by its migrations once in a process and copied into every other empty SQLite file."""

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

MODULE = "mlflow.store.db.utils"
NAME = "_initialize_tables"  # of MLflow's tracking store, for a database that lacks tables


class MadeOnce:
    """Stands before MLflow's own function: its first result is kept, as the migrations take two seconds."""

    def __init__(self, make: Callable[[Any], None]) -> None:
        self.make = make
        self.kept: sqlite3.Connection | None = None

    def __call__(self, engine: Any) -> None:
        """Give the database of an SQLAlchemy engine MLflow's tables; only an empty file gets the copy."""
        file = engine.url.database if engine.dialect.name == "sqlite" else None
        if not file or not empty(file):
            self.make(engine)
        elif self.kept is None:
            self.make(engine)
            kept = sqlite3.connect(":memory:", check_same_thread=False)
            with closing(sqlite3.connect(file)) as made:
                made.backup(kept)
            self.kept = kept
        else:
            with closing(sqlite3.connect(file)) as copy:
                self.kept.backup(copy)


def empty(file: str) -> bool:
    """Whether an SQLite file has neither tables nor anything else."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def make_tables_once() -> None:
    """From now on, where this process has MLflow's module already; nothing imports it for this."""
    module = sys.modules.get(MODULE)
    make = getattr(module, NAME, None)
    if make is not None and not isinstance(make, MadeOnce):
        setattr(module, NAME, MadeOnce(make))
