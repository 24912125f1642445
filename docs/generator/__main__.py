"""`python -m docs.generator`: writes `docs/reference/*.md`; a test proves that they are in step."""

from pathlib import Path

from docs.generator.cli import cli_page
from docs.generator.config import config_page
from docs.generator.python_api import python_page
from docs.generator.tables import tables_page

FOLDER = Path(__file__).resolve().parents[1] / "reference"
PAGES = {"cli.md": cli_page, "config.md": config_page, "python.md": python_page, "tables.md": tables_page}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
