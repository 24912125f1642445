"""Files and folders by path or URI: one client a bucket, and no secret in a URI."""

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pyarrow.fs as pafs

from cluster.errors import UserError
from cluster.storage.secret_uris import has_secret

# Object stores whose path is the bucket and the quoted rest of the URI.
BUCKETS = frozenset({"s3", "gs", "gcs"})
# Of a busy store; pyarrow's are 1 s and 3 s, within which a laden one may not answer.
CONNECT_SECONDS, SILENT_SECONDS = 20.0, 60.0


def locate(uri: str) -> tuple[pafs.FileSystem, str]:
    """The filesystem of a local path or URI, and the path inside it.

    Clients of object stores are shared: making one costs connections and, without a region in the
    environment, a request.

    Raises:
        pyarrow.ArrowException, ValueError, OSError: not a URI that this platform can open.
    """
    if "://" not in uri:
        return pafs.LocalFileSystem(), str(Path(uri).expanduser().absolute())
    parts = urlsplit(uri)
    if parts.scheme not in BUCKETS or parts.query or parts.fragment or not parts.netloc:
        filesystem, path = pafs.FileSystem.from_uri(uri)
        return filesystem, path
    bucket = _bucket(f"{parts.scheme}://{parts.netloc}", _cloud_environment())
    return bucket, f"{parts.hostname or ''}{unquote(parts.path)}".rstrip("/")


@lru_cache(maxsize=32)
def _bucket(root: str, environment: str) -> pafs.FileSystem:
    """A bucket's client; `environment` is part of the key, as endpoint and credentials come from there."""
    filesystem, _ = pafs.FileSystem.from_uri(root)
    if not isinstance(filesystem, pafs.S3FileSystem):
        return filesystem
    return pafs.S3FileSystem(
        region=filesystem.region,  # written out: who unpickles it need not find it again
        endpoint_override=os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
        connect_timeout=CONNECT_SECONDS,
        request_timeout=SILENT_SECONDS,
        allow_delayed_open=True,  # a small file is one request instead of a multipart upload's three
    )


def _cloud_environment() -> str:
    settings = sorted((k, v) for k, v in os.environ.items() if k.startswith(("AWS_", "GOOGLE_")))
    return hashlib.sha256(repr(settings).encode()).hexdigest()  # no secret stays in the cache's keys


def check_uri(uri: str, key: str) -> None:
    """Refuse what would be written into tables and reports, or would never reach the workers.

    Args:
        uri: local path or URI, as the user wrote it.
        key: the config's key, for the message.

    Raises:
        UserError: a password, or options after a `?`.
    """
    if "://" not in uri:
        return
    if has_secret(uri):
        raise UserError(
            f"{key}: a password in a URI would be written into tables and reports; give credentials by the "
            "environment of every node instead (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)."
        )
    if "?" in uri:
        raise UserError(
            f"{key}: options after the ? of a URI don't reach the workers; give endpoint and region by the "
            "environment of every node instead (AWS_ENDPOINT_URL, AWS_DEFAULT_REGION)."
        )


def has_folders(filesystem: pafs.FileSystem) -> bool:
    """Whether a file's folder must be made before the file; object stores have none."""
    return filesystem.type_name not in BUCKETS


def uri_of(filesystem: pafs.FileSystem, path: str) -> str:
    """The local path or the URI that `locate` takes back."""
    if isinstance(filesystem, pafs.LocalFileSystem):
        return path
    scheme = str(filesystem.type_name).removeprefix("py::")
    if scheme.startswith("fsspec+"):  # pyarrow does not unquote these
        return f"{scheme}://{path}"
    return f"{scheme}://{quote(path)}"
