"""Google-style docstrings taken apart: what comes before the sections, and each section's entries."""

import inspect
import re
from dataclasses import dataclass

SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Yields")
NAMED = ("Args", "Attributes", "Raises")


@dataclass(frozen=True)
class Docstring:
    """One docstring.

    Attributes:
        text: the Markdown before the first section and after the last.
        sections: entries by section; the unnamed ones of `Returns` under an empty name.
    """

    text: str
    sections: dict[str, dict[str, str]]

    @property
    def summary(self) -> str:
        """The first paragraph, in one line."""
        return " ".join(self.text.split("\n\n")[0].split())


def parse(doc: str | None) -> Docstring:
    """Take a docstring apart.

    Raises:
        ValueError: there is none.
    """
    if not doc:
        raise ValueError("no docstring")
    text: list[str] = []
    sections: dict[str, dict[str, str]] = {}
    current, name = "", ""
    for line in inspect.cleandoc(doc).splitlines():
        heading = line.removesuffix(":")
        if heading in SECTIONS and line.endswith(":"):
            current, name = heading, ""
            sections[current] = {}
        elif current and line and not line.startswith(" "):
            current = ""
            text.append(line)
        elif not current:
            text.append(line)
        elif entry := re.match(r"    (\S.*?): (.*)", line) if current in NAMED else None:
            name = entry[1]
            sections[current][name] = entry[2]
        elif line.strip():
            sections[current][name] = f"{sections[current].get(name, '')} {line.strip()}".strip()
    return Docstring("\n".join(text).strip(), sections)


def attributes(doc: str | None) -> dict[str, str]:
    """Meaning by attribute; `a, b: …` is told for both."""
    described = parse(doc).sections.get("Attributes", {}) if doc else {}
    return {name.strip(): text for names, text in described.items() for name in names.split(",")}


def markdown(doc: str | None) -> str:
    """A docstring as Markdown: its text, then each section as a list."""
    parsed = parse(doc)
    parts = [parsed.text]
    for title, entries in parsed.sections.items():
        lines = [f"- `{name}`: {text}" if name else f"- {text}" for name, text in entries.items()]
        parts.append("\n".join([f"*{title}*", "", *lines]))
    return "\n\n".join(parts)
