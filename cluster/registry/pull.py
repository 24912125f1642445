"""A registered version's files on this machine: digests verified, whole or not at all."""

import hashlib
import json
import os
import re
import shutil
import tempfile
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster import json_text
from cluster.errors import UserError
from cluster.registry.registry import ModelVersion
from cluster.registry.stored_files import LOCAL, local_path
from cluster.tracking import Tracker

WEIGHTS_SUFFIX = ".safetensors"
REGISTRY_FILE, MODEL_FILE = "registry.json", "model.json"
LONGEST = 200  # bytes of a name; the version and a scratch folder's letters are added


def pull(tracker: Tracker, version: ModelVersion, out: Path) -> Path:
    """Fetch a version into the folder `OUT/NAME-vVERSION`.

    The folder holds the weights (safetensors, in the keys of the model's own library), `model.json` (how they
    were made) and `registry.json` (what the registry says of them). It appears complete or not at all; one
    that is there already is verified.

    Args:
        tracker: the tracker whose registry has the version.
        version: the version to fetch.
        out: local folder, made if absent.

    Returns:
        The folder.

    Raises:
        UserError: a name or source that leads elsewhere, no digests or not one file of weights in the
            registry, files that can't be fetched or differ from their digests, or a folder of that name that
            holds something else.
    """
    digests = version.files
    _require_plain(version)
    _weights_name(version)
    target = out.expanduser() / f"{version.name}-v{version.version}"
    if target.is_dir():
        _verify(target, digests, f"{target} is there already and", "move it away or give another --out.")
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise UserError(
            f"The folder {out} can't be written ({error.strerror}); give another --out."
        ) from None
    try:
        for name in digests:
            _fetch(tracker, f"{version.source.rstrip('/')}/{name}", scratch, name)
        remedy = "the stored files were changed or damaged: register the model again."
        _verify(scratch, digests, f"{version.reference} at {version.source}", remedy)
        text = json_text.dumps(version.document(), indent=2) + "\n"
        (scratch / REGISTRY_FILE).write_text(text, encoding="utf-8")
        _publish(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def making_of(tracker: Tracker, version: ModelVersion) -> Mapping[str, Any]:
    """A version's `model.json`, its digest verified: settings, data and code of every stage behind it.

    Empty where the registry records none, as for a model of another program.

    Raises:
        UserError: see `pull`.
    """
    digest = version.files.get(MODEL_FILE)
    if digest is None:
        return {}
    _require_plain(version)
    with tempfile.TemporaryDirectory() as folder:
        _fetch(tracker, f"{version.source.rstrip('/')}/{MODEL_FILE}", Path(folder), MODEL_FILE)
        remedy = "the stored files were changed or damaged: register the model again."
        _verify(Path(folder), {MODEL_FILE: digest}, f"{version.reference} at {version.source}", remedy)
        document = json.loads((Path(folder) / MODEL_FILE).read_bytes())
    return document if isinstance(document, dict) else {}


def _require_plain(version: ModelVersion) -> None:
    """Refuse a name that is no folder's, and a source that climbs: a registry may hold any text.

    File names are plain already, see `file_digests`.
    """
    name = version.name
    if re.search(r"[/\\\x00-\x1f\x7f]", name) or name.startswith((".", "~")) or len(name.encode()) > LONGEST:
        raise UserError(
            f"The registered model {name[:LONGEST]!r} can't be pulled: its name is no folder's name; rename "
            "it in MLflow."
        )
    source = version.source
    for _ in range(3):  # escaped, perhaps twice
        if ".." in re.split(r"[/\\]", source) or "\x00" in source:
            raise UserError(
                f"{version.reference} can't be pulled: its source {version.source[:LONGEST]!r} leads out of "
                "where artifacts are kept; register the model again."
            )
        source = urllib.parse.unquote(source)


def weights_file(folder: Path, version: ModelVersion) -> Path:
    """The weights of a version in the folder that `pull` made of it, whatever else lies there.

    Raises:
        UserError: see `pull`.
    """
    return folder / _weights_name(version)


def _weights_name(version: ModelVersion) -> str:
    names = [name for name in version.files if name.endswith(WEIGHTS_SUFFIX)]
    if not names:
        raise UserError(
            f"{version.reference} has no weights with a recorded digest; register it again with agssp run."
        )
    if len(names) > 1:
        raise UserError(
            f"{version.reference} holds {len(names)} {WEIGHTS_SUFFIX} files ({', '.join(names[:3])}) where "
            "one is its weights; register it again."
        )
    return names[0]


def _fetch(tracker: Tracker, uri: str, folder: Path, name: str) -> None:
    if uri.startswith(LOCAL):  # at hand; MLflow's import would take longer than the copy
        try:
            shutil.copyfile(local_path(uri), folder / name)
        except OSError as error:
            raise UserError(f"{uri} can't be fetched ({error.strerror}); is it on this machine?") from None
        return
    import requests
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    from cluster.tracking import quieten

    quieten()
    try:
        copy = download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=tracker.uri)
    except (MlflowException, OSError, requests.RequestException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{uri} can't be fetched ({reason}); is the artifact store there?") from None
    if Path(copy).resolve() != (folder / name).resolve() or not (folder / name).is_file():
        raise UserError(f"{uri} is not a file; register the model again.")


def _verify(folder: Path, digests: Mapping[str, str], subject: str, remedy: str) -> None:
    """Every file there, with its digest, and weights that open."""
    from safetensors import SafetensorError, safe_open

    for name, digest in digests.items():
        path = folder / name
        try:
            with path.open("rb") as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise UserError(f"{subject} lacks {name} ({error.strerror}); {remedy}") from None
        if actual != digest:
            raise UserError(
                f"{subject} differs from the registry: {name} has sha256 {actual[:12]}… instead of "
                f"{digest[:12]}…; {remedy}"
            )
        try:
            if name.endswith(WEIGHTS_SUFFIX):
                with safe_open(path, framework="np"):
                    pass
            elif name.endswith(".json"):
                json.loads(path.read_bytes())
        except (SafetensorError, ValueError, RecursionError) as error:
            raise UserError(f"{subject}: {name} is damaged ({error}); {remedy}") from None


def _publish(scratch: Path, target: Path) -> None:
    scratch.chmod(0o755)  # mkdtemp's folders are for their owner alone
    for path in scratch.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    try:
        scratch.rename(target)
    except OSError as error:
        if not target.is_dir():  # another pull was quicker, with the same files
            raise UserError(f"The folder {target} can't be written ({error.strerror}).") from None
