"""Finding the maps of a project in its workspace, without making any and without Ray."""

from dataclasses import dataclass
from typing import Any

from cluster.errors import UserError
from cluster.progress import say
from cluster.stages import RECORD
from cluster.storage import Storage
from pipelines.corpus import CorpusSection
from pipelines.maps import MapsSection


@dataclass(frozen=True)
class StoredMaps:
    """A complete maps artifact and the corpus it was made of."""

    maps: Storage
    corpus: Storage
    record: dict[str, Any]


def find_maps(
    workspace: Storage, maps: MapsSection, corpus: CorpusSection, asked: str | None = None
) -> StoredMaps:
    """The newest complete maps of this config; if there are none, the newest of all, with a notice.

    Args:
        workspace: the project's workspace.
        maps, corpus: the project's config sections.
        asked: beginning of another artifact's fingerprint; None chooses by config.

    Raises:
        UserError: the workspace has none, or none of that fingerprint.
    """
    artifacts = []
    folder = workspace.at("maps")
    for name in folder.children():
        directory = folder.at(name)
        if not directory.exists(RECORD):
            continue  # not complete
        record = _record(directory)
        source = workspace.at("corpus", str(record["inputs"]["corpus"])[:16])
        if source.exists(RECORD):
            artifacts.append(StoredMaps(directory, source, record))
    if not artifacts:
        raise UserError(
            f"The workspace {workspace.uri} has no finished anomaly maps; run agssp maps CONFIG first."
        )
    artifacts.sort(key=lambda each: str(each.record["started"]), reverse=True)
    if asked is not None:
        named = [each for each in artifacts if str(each.record["fingerprint"]).startswith(asked)]
        if len(named) != 1:
            known = ", ".join(str(each.record["fingerprint"])[:16] for each in artifacts)
            raise UserError(
                f'--maps "{asked}" names {len(named)} of the maps in {workspace.uri}; valid: {known}'
            )
        return named[0]
    matching = [each for each in artifacts if each.record["config"] == maps.deciding]
    exact = [each for each in matching if _same_corpus(_record(each.corpus)["config"], corpus)]
    if not exact:
        say(
            f"view: no maps of exactly this config; showing the newest, {(matching or artifacts)[0].maps.uri}"
        )
    return (exact or matching or artifacts)[0]


def _same_corpus(config: dict[str, Any], corpus: CorpusSection) -> bool:
    if corpus.root or corpus.sources:
        return config == corpus.dump()
    # Generated surfaces: the pipeline sets their folder and layout.
    generated = {"root": config["root"], "layout": config["layout"]}
    return config == corpus.model_copy(update=generated).dump()


def _record(directory: Storage) -> dict[str, Any]:
    try:
        record: dict[str, Any] = directory.read_json(RECORD)
        for key in ("fingerprint", "config", "inputs", "started"):
            record[key]
    except (ValueError, RecursionError, TypeError, KeyError):
        raise UserError(
            f"{directory.uri}/{RECORD} is damaged; delete {directory.uri} and make it anew."
        ) from None
    return record
