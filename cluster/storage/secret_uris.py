"""URIs with a password or a key in them: refused, as they would be shown in logs, params and stage.json."""

import urllib.parse
from collections.abc import Mapping
from typing import Any

from cluster.errors import UserError

# Where each kind of place takes its login from instead.
REMEDIES = {
    "http": "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    "https": "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    "postgresql": "set PGPASSWORD or write ~/.pgpass",
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS",
}
ANY_REMEDY = "give it by the environment variables or the credentials file of that kind of place"
DATABASES = ("postgresql", "postgres", "mysql", "mssql")
SECRET_WORDS = (
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "sas",
    "access_key",
    "signature",
    "credential",
)


def has_secret(uri: str) -> bool:
    """Whether a URI has a password, or a query parameter that is called like a secret; other texts have none.

    A name alone (`postgresql://me@host/db`) is no secret, but before an HTTP host it may be a token.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return False
    place, _, query = rest.partition("?")
    login, at, _ = place.partition("/")[0].rpartition("@")
    if not at and scheme.partition("+")[0] in DATABASES:
        login, at, _ = place.rpartition("@")  # a password that was not quoted may hold a slash
    if at and (":" in login or scheme in ("http", "https")):
        return True
    return any(
        any(word in name.lower() for word in SECRET_WORDS)
        for name, value in urllib.parse.parse_qsl(query.partition("#")[0])
        if value
    )


def masked(uri: str) -> str:
    """The URI without its password, and without the values of a query that holds secrets."""
    scheme, separator, rest = uri.partition("://")
    if not separator or not has_secret(uri):
        return uri
    place, question, _ = rest.partition("?")
    login, at, host = place.rpartition("@")
    if at:
        name = "" if scheme in ("http", "https") and ":" not in login else login.partition(":")[0]
        place = f"{name}:***@{host}"
    return f"{scheme}{separator}{place}" + (f"{question}***" if question else "")


def refuse_secrets(uri: str, what: str) -> None:
    """Refuse a URI with a secret in it, without repeating it.

    Args:
        uri: or any other text, which is let pass.
        what: the setting or option it was given for.

    Raises:
        UserError: it holds a password or a key.
    """
    if has_secret(uri):
        scheme = uri.partition("://")[0].partition("+")[0]
        raise UserError(
            f"{what}={masked(uri)} holds a login, which would be shown in logs; "
            f"{REMEDIES.get(scheme, ANY_REMEDY)} instead."
        )


def refuse_secrets_in(document: Any, what: str = "") -> None:
    """The same for every text of a nested config, named by its dotted key.

    Raises:
        UserError: the first that holds a password or a key.
    """
    if isinstance(document, str):
        refuse_secrets(document, what)
    elif isinstance(document, Mapping):
        for key, value in document.items():
            refuse_secrets_in(value, f"{what}.{key}" if what else str(key))
    elif isinstance(document, list | tuple):
        for place, value in enumerate(document):
            refuse_secrets_in(value, f"{what}.{place}")
