"""What `agssp models` prints for a person."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rich.markup import escape
from rich.tree import Tree

from cluster.cli.command import listing_table, out

DIGEST = re.compile(r"[0-9a-f]{16}|[0-9a-f]{64}")
SHORT = 12  # digits of a fingerprint that are enough for a person


def render_models(result: Mapping[str, Any]) -> None:
    """The table of models."""
    if not result["models"]:
        out.print("No model is registered yet, or none fits.")
        return
    table = listing_table("model", "versions", "latest", "aliases", "description", whole=0)
    for row in result["models"]:
        aliases = ", ".join(f"{alias} → {version}" for alias, version in row["aliases"].items())
        cells = (row["name"], str(row["versions"]), str(row["latest"] or "–"), aliases, row["description"])
        table.add_row(*map(escape, cells))
    out.print(table)


def render_versions(result: Mapping[str, Any]) -> None:
    """The table of versions, with every figure of every dataset."""
    if not result["versions"]:
        out.print("No version fits.")
        return
    table = listing_table("version", "aliases", "created", "evaluations", "code", whole=0)
    for row in result["versions"]:
        cells = (
            f"{row['name']}@{row['version']}",
            ", ".join(row["aliases"]),
            row["created"],
            "\n".join(_figures(row["evaluations"])) or "none",
            row["provenance"]["code_version"] or "–",
        )
        table.add_row(*map(escape, cells))
    out.print(table)


def render_version(result: Mapping[str, Any]) -> None:
    """One version; its provenance comes first."""
    provenance = result["provenance"]
    table = listing_table("", "", title=escape(f"{result['name']}@{result['version']}"))
    table.show_header = False
    rows = [
        ("what", result["description"]),
        ("aliases", ", ".join(result["aliases"]) or "none"),
        ("created", result["created"]),
        ("corpus", provenance["corpus"] or "none"),
        ("prompts", provenance["prompts"] or "none"),
        ("thresholds", _pairs(provenance["thresholds"])),
        ("parents", _pairs(provenance["parents"])),
        ("code version", provenance["code_version"] or "unknown"),
        ("seeds", _pairs(provenance["seeds"])),
        ("evaluations", "\n".join(_figures(result["evaluations"])) or "none"),
        ("files", "\n".join(f"{name} sha256 {text[:SHORT]}…" for name, text in result["files"].items())),
        ("MLflow run", result["run_id"]),
    ]
    listed_above = {"corpus", "fingerprint"}
    rows += [(name, value) for name, value in result["lineage"].items() if name not in listed_above]
    for name, value in rows:
        table.add_row(escape(name), escape(value))
    out.print(table)


def render_comparison(result: Mapping[str, Any]) -> None:
    """Figures side by side, then what else differs."""
    if result["evaluations"]:
        table = listing_table("dataset", "metric", result["first"], result["second"], "difference")
        for row in result["evaluations"]:
            difference = "other images" if not row["same_images"] else "–"
            if row["difference"] is not None:
                difference = f"{row['difference']:+.4f}"
            cells = (row["dataset"], row["metric"], _figure(row["first"]), _figure(row["second"]), difference)
            table.add_row(*map(escape, cells))
        out.print(table)
    else:
        out.print("Neither was evaluated on anything.")
    if not result["recorded"]:
        out.print("How one of them was made is not recorded, so no settings can be compared.")
        return
    for part in ("settings", "data", "code"):
        if not result[part]:
            out.print(f"{part}: the same")
            continue
        table = listing_table(part, result["first"], result["second"])
        for name, pair in result[part].items():
            table.add_row(*map(escape, (name, *_sides(pair["first"], pair["second"]))))
        out.print(table)


def _sides(first: Any, second: Any) -> tuple[str, str]:
    """Two values as text; digests say nothing to a person but that they are others."""
    words = [(first, "one"), (second, "another")]
    texts = [
        "–" if value is None else word if DIGEST.fullmatch(str(value)) else str(value)
        for value, word in words
    ]
    return texts[0], texts[1]


def render_lineage(result: Mapping[str, Any]) -> None:
    """A tree of parents; every stage behind them below."""
    tree = Tree(_title(result))
    _grow(tree, result)
    out.print(tree)
    children = ", ".join(result["children"])
    out.print(f"Made of it: {children}" if children else "Nothing registered was made of it.", markup=False)


def render_pulled(result: Mapping[str, Any]) -> None:
    """Where the weights are."""
    out.print(
        f"{result['name']}@{result['version']}: {len(result['files'])} files, digests verified, in "
        f"{result['folder']}",
        markup=False,
        soft_wrap=True,
    )


def _grow(tree: Tree, node: Mapping[str, Any]) -> None:
    provenance = node["provenance"]
    facts = {
        "code version": provenance["code_version"],
        "prompts": provenance["prompts"],
        "thresholds": _pairs(provenance["thresholds"]),
        "seeds": _pairs(provenance["seeds"]),
    }
    for name, value in facts.items():
        if value and value != "none":
            tree.add(escape(f"{name}: {value}"))
    for name, value in node["lineage"].items():
        if len(value) == 64:  # fingerprints of stages
            tree.add(escape(f"{name} {value[:SHORT]}…"))
    for parent in node["parents"]:
        _grow(tree.add(_title(parent)), parent)


def _title(node: Mapping[str, Any]) -> str:
    aliases = f" ({', '.join(node['aliases'])})" if node["aliases"] else ""
    return escape(f"{node['reference']}{aliases}, {node['created']}")


def _figures(evaluations: Mapping[str, Any]) -> Iterator[str]:
    for name, evaluation in evaluations.items():
        figures = ", ".join(f"{metric} {_figure(value)}" for metric, value in evaluation["metrics"].items())
        yield f"{name}: {figures} ({evaluation['images']} images)"


def _figure(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.4f}"


def _pairs(mapping: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in mapping.items()) or "none"
