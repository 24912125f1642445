"""`agssp models`: look registered models up, compare, promote and pull them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.cli.command import Json, Words, run_command
from cluster.cli.model_tables import (
    render_comparison,
    render_lineage,
    render_models,
    render_pulled,
    render_version,
    render_versions,
)
from cluster.cli.projects import ground_of
from cluster.errors import UserError
from cluster.registry import (
    REGISTRY_FILE,
    ModelVersion,
    Registry,
    best as best_of,
    comparison,
    evaluation_on,
    made_differently,
    making_of,
    promote,
    ranked,
    weights_file,
)
from cluster.registry.pull import pull
from cluster.storage import Storage
from cluster.tracking import Tracker

app = typer.Typer()
models = typer.Typer(no_args_is_help=True, help="Registered models: look up, compare, promote, pull.")
app.add_typer(models, name="models")

METRIC = "map50_95"
Reference = Annotated[
    str,
    typer.Argument(metavar="NAME[@VERSION|@ALIAS]", help="The newest version without @.", show_default=False),
]
Pattern = Annotated[str, typer.Argument(metavar="NAME", help="Of a model, or a pattern such as 'demo-*'.")]
Alias = Annotated[str | None, typer.Option(help="Only what this alias points at.")]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", help="Only versions with KEY=VALUE; VALUE may be a pattern such as '3fa9*'."),
]
Best = Annotated[
    str | None, typer.Option(metavar="METRIC", help="The best by this metric, e.g. mAP50; needs --dataset.")
]
Dataset = Annotated[
    str | None, typer.Option(help="Name of an evaluation's dataset, or the first digits of its digest.")
]


@models.command("list")
def list_command(words: Words = None, alias: Alias = None, tag: Tags = None, as_json: Json = False) -> None:
    """All registered models, with versions and aliases."""

    def body() -> Mapping[str, Any]:
        registry = Registry.open(tracker_of(words))
        rows = registry.models
        if alias is not None or tag:
            names = {version.name for version in registry.versions(alias=alias, tags=tags_of(tag))}
            rows = [row for row in rows if row.name in names]
        return {"models": [asdict(row) for row in rows]}

    run_command(body, json_mode=as_json, render=render_models)


@models.command("versions")
def versions_command(
    name: Pattern,
    words: Words = None,
    alias: Alias = None,
    tag: Tags = None,
    best: Best = None,
    dataset: Dataset = None,
    as_json: Json = False,
) -> None:
    """Versions of one model or of many, with how they were judged; with --best, the best first."""

    def body() -> Mapping[str, Any]:
        registry = Registry.open(tracker_of(words))
        versions = registry.versions(name, alias=alias, tags=tags_of(tag))
        if best is None:
            if dataset is not None:
                versions = [one for one in versions if evaluation_on(one, dataset) is not None]
            return {"versions": [version.document() for version in versions]}
        rows = ranked(versions, best, required(dataset))
        return {
            "versions": [{**row.version.document(), "metric": row.metric, "value": row.value} for row in rows]
        }

    run_command(body, json_mode=as_json, render=render_versions)


@models.command("show")
def show_command(
    reference: Reference,
    words: Words = None,
    best: Best = None,
    dataset: Dataset = None,
    as_json: Json = False,
) -> None:
    """One version: corpus, prompts, thresholds, parents, code and seeds that made it, and how it was judged.

    With --best METRIC --dataset DATASET the best of the models that NAME (a pattern) names.
    """

    def body() -> Mapping[str, Any]:
        from cluster.registry import registry_reader

        tracker = tracker_of(words)
        version = chosen(Registry.open(tracker), reference, best, dataset)
        metrics = registry_reader(tracker).metrics(version.run_id)
        return {**version.document(), "metrics": metrics}

    run_command(body, json_mode=as_json, render=render_version)


@models.command("compare")
def compare_command(first: Reference, second: Reference, words: Words = None, as_json: Json = False) -> None:
    """Two versions side by side: figures on the same images, and what they were made of differently."""

    def body() -> Mapping[str, Any]:
        tracker = tracker_of(words)
        registry = Registry.open(tracker)
        pair = registry.version(first), registry.version(second)
        made = made_differently(*(making_of(tracker, version) for version in pair))
        return {**comparison(*pair), **made}

    run_command(body, json_mode=as_json, render=render_comparison)


@models.command("lineage")
def lineage_command(reference: Reference, words: Words = None, as_json: Json = False) -> None:
    """What a version was made of, model by model and stage by stage, and what was made of it."""

    def body() -> Mapping[str, Any]:
        registry = Registry.open(tracker_of(words))
        version = registry.version(reference)
        return {
            **ancestry(registry, version, frozenset()),
            "children": [child.reference for child in registry.children(version)],
        }

    run_command(body, json_mode=as_json, render=render_lineage)


@models.command("promote")
def promote_command(
    reference: Reference,
    words: Words = None,
    dataset: Dataset = None,
    metric: Annotated[str, typer.Option(help="That decides; larger is better.")] = METRIC,
    to: Annotated[str, typer.Option(help="The alias.")] = "champion",
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Also when it finds nothing, or the present holder is better or can't be compared.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Give a version the alias champion, if it finds anything on --dataset and the holder is not better."""

    def body() -> Mapping[str, Any]:
        tracker = tracker_of(words)
        registry = Registry.open(tracker)
        version = registry.version(reference)
        return promote(
            tracker, registry, version, dataset=required(dataset), metric=metric, alias=to, force=force
        )

    run_command(body, json_mode=as_json)


@models.command("pull")
def pull_command(
    reference: Reference,
    words: Words = None,
    folder: Annotated[Path, typer.Option("--out", help="The files go to OUT/NAME-vVERSION.")] = Path(
        "models"
    ),
    best: Best = None,
    dataset: Dataset = None,
    as_json: Json = False,
) -> None:
    """Fetch a version's weights (safetensors, in their library's keys) and JSON, digests verified."""

    def body() -> Mapping[str, Any]:
        tracker = tracker_of(words)
        version = chosen(Registry.open(tracker), reference, best, dataset)
        pulled = pull(tracker, version, folder)
        return {
            "name": version.name,
            "version": version.version,
            "folder": str(pulled),
            "weights": str(weights_file(pulled, version)),
            "registry": str(pulled / REGISTRY_FILE),
            "files": version.files,
        }

    run_command(body, json_mode=as_json, render=render_pulled)


def tracker_of(words: list[str] | None) -> Tracker:
    """The tracking that a command line's project names.

    Raises:
        UserError: a config or tracking server that is at fault.
    """
    ground = ground_of(words)
    return Tracker.open(ground.tracking, Storage.open(ground.workspace))


def chosen(registry: Registry, reference: str, best: str | None, dataset: str | None) -> ModelVersion:
    """The version of a reference, or with `best` the best of a pattern's.

    Raises:
        UserError: there is none, or `best` without `dataset`.
    """
    if best is None:
        if dataset is not None:
            raise UserError("--dataset says on what --best is judged; give both or none.")
        return registry.version(reference)
    return best_of(registry.versions(reference), best, required(dataset))


def ancestry(registry: Registry, version: ModelVersion, seen: frozenset[str]) -> dict[str, Any]:
    """A version with its parents, theirs below them; JSON-able.

    Args:
        seen: references on the way here; foreign tags may run in a circle.
    """
    document = version.document()
    above = [] if version.reference in seen else registry.parents(version)
    return {
        "reference": version.reference,
        "aliases": document["aliases"],
        "created": document["created"],
        "provenance": document["provenance"],
        "lineage": document["lineage"],
        "parents": [ancestry(registry, parent, seen | {version.reference}) for parent in above],
    }


def tags_of(words: Sequence[str] | None) -> dict[str, str]:
    """`KEY=VALUE` words as a mapping.

    Raises:
        UserError: a word without `=`, or a key twice.
    """
    pairs = [word.partition("=") for word in words or ()]
    for key, equals, value in pairs:
        if not key or not equals:
            raise UserError(f'--tag "{key}{equals}{value}" must read KEY=VALUE.')
    keys = [key for key, _, _ in pairs]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise UserError(f"--tag names {twice[0]} twice; a version has one value of it, so give it once.")
    return {key: value for key, _, value in pairs}


def required(dataset: str | None) -> str:
    """The dataset.

    Raises:
        UserError: none was given.
    """
    if not dataset:
        raise UserError("--dataset is needed: the name of the evaluated images, as models versions shows it.")
    return dataset
