"""Rows of other tables of the workspace that are this table's too, e.g. before a head was added."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cluster.stages import digest
from cluster.storage import Storage
from pipelines.heads import head_digest
from pipelines.maps import MapsSection
from tuning.table4.grid import MethodRow
from tuning.table4.measuring import Measured

MADE_OF = "made_of"


class KeptRows:
    """The measured rows of all tables, found by what decided them.

    A table's fingerprint holds the settings and heads of all methods; a row depends on its own alone.

    Args:
        tables: the folder of all tables, a folder each.
        shared: what decides every row of a table: images, encoder, prompts, device.
        maps: the table's maps config.
    """

    def __init__(self, tables: Storage, shared: Mapping[str, Any], maps: MapsSection) -> None:
        self.tables, self.shared, self.maps = tables, shared, maps

    def key(self, row: MethodRow) -> str:
        """Digest of all that decides a row's figures."""
        section = row.section(self.maps)
        head = None if section.head is None else head_digest(section.head)
        return digest({**self.shared, "row": asdict(row), "maps": section.deciding, "head": head})

    def find(self, row: MethodRow) -> Measured | None:
        """The row as another table measured it; None where none did, or it could not be run there."""
        name, key = f"rows/{row.key}.json", self.key(row)
        for table in self.tables.children():
            directory = self.tables.at(table)
            if not directory.exists(name):
                continue
            if directory.read_json(name).get(MADE_OF) == key:
                measured = self.read(directory, name)
                if measured.not_run is None:
                    return measured
        return None

    def read(self, table: Storage, name: str) -> Measured:
        """The figures of a row's file."""
        return Measured.read({key: value for key, value in table.read_json(name).items() if key != MADE_OF})

    def document(self, measured: Measured) -> dict[str, Any]:
        """A row's figures with what decided them; `Measured.read` takes them but for that."""
        return {**measured.document(), MADE_OF: self.key(measured.row)}
