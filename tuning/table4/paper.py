"""The paper's own figures of Table 4, shipped as data."""

from importlib import resources
from typing import Literal

from pydantic import Field

from cluster.config import Section, validate
from cluster.yaml_files import parse_yaml


class Percent(Section):
    """Image and pixel AUROC in percent, as the paper prints them."""

    image: float = Field(ge=0, le=100)
    pixel: float = Field(ge=0, le=100)


class PaperRow(Section):
    """One printed row; `defect_features` and `vv` are None where the paper has a dash."""

    model: str
    encoder: Literal["base", "large", "huge"]
    mode: Literal["zero", "few"]
    defect_features: bool | None = None
    vv: bool | None = None
    casting_billet: Percent
    steel_pipe: Percent


class PaperTable(Section):
    """Table 4: its source, minutes for one data set by model, and its rows in order."""

    source: str
    minutes: dict[str, float]
    rows: tuple[PaperRow, ...]


def paper_table4() -> PaperTable:
    """Table 4 of arXiv 2509.18919."""
    text = (resources.files("tuning.table4") / "paper.yaml").read_text("utf-8")
    return validate(PaperTable, parse_yaml(text, "Table 4"), "Table 4")
