"""Plain requests to an MLflow server, with the login that MLflow's own client would send."""

import os
from collections.abc import Mapping
from typing import Any

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from cluster.errors import UserError

TIMEOUT_S = 30.0
ABSENT = "RESOURCE_DOES_NOT_EXIST"


class RefusedError(UserError):
    """A server's answer that something can't be done; `code` is MLflow's word for the reason."""

    def __init__(self, message: str, code: str = "") -> None:  # the default lets it be pickled
        super().__init__(message)
        self.code = code


class _Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def ask(
    uri: str,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
    absent_ok: bool = False,
) -> dict[str, Any]:
    """A server's JSON answer to a GET, or to a POST of `body`.

    Args:
        uri: the server's URI.
        path: the REST API's path, e.g. `/api/2.0/mlflow/runs/get`.
        query: parameters of a GET.
        body: JSON-able content.
        absent_ok: an empty answer instead of an error where the thing asked for doesn't exist.

    Raises:
        RefusedError: an error told by the server.
        UserError: no answer, not JSON, or the login is refused.
    """
    try:
        answer = requests.request(
            "GET" if body is None else "POST",
            uri.rstrip("/") + path,
            params=query,
            json=body,
            auth=_login(),
            verify=_certificates(),
            timeout=TIMEOUT_S,
        )
    except requests.RequestException as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"The tracking server {uri} can't be asked ({reason}); is it up?") from None
    if answer.status_code in (401, 403):
        raise UserError(
            f"The tracking server {uri} refuses this login (HTTP {answer.status_code}); set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to those of a user who may do this."
        )
    try:
        content = answer.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UserError(f"What answers at {uri} is no MLflow server (HTTP {answer.status_code}).")
    if answer.ok:
        return content
    if absent_ok and content.get("error_code") == ABSENT:
        return {}
    lines = str(content.get("message", "no reason given")).splitlines() or ["no reason given"]
    raise RefusedError(
        f"The tracking server {uri} answers HTTP {answer.status_code}: {lines[0].rstrip('.')}.",
        str(content.get("error_code", "")),
    )


def _login() -> AuthBase | None:
    """Who asks, from MLflow's environment variables."""
    if name := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        return HTTPBasicAuth(name, os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return _Bearer(token)
    return None


def _certificates() -> bool | str:
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return False
    return os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True
