"""One question to a chat model behind an OpenAI-compatible endpoint; nothing of ours trusts its answer."""

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from cluster.errors import UserError
from cluster.progress import say

PATH = "/chat/completions"
MAX_ANSWER_BYTES = 1 << 20
TRIES, FIRST_PAUSE_S, LONGEST_PAUSE_S = 3, 1.0, 30.0
BUSY = (429, 500, 502, 503, 504)  # may be better in a moment
LOOPBACK = ("localhost", "127.0.0.1", "::1")
MAX_KEY, EXCERPT = 4096, 200


@dataclass(frozen=True)
class ChatEndpoint:
    """Where a question goes.

    Attributes:
        url: full address of the POST.
        host: host and port, as provenance and messages name it.
        model: the model's name there.
        key: bearer key; None sends none. It is never shown.
        timeout: seconds for one try, from the first byte sent to the last one read.
    """

    url: str
    host: str
    model: str
    key: str | None
    timeout: float

    def __repr__(self) -> str:
        return f"ChatEndpoint({self.host}, {self.model})"


class _Login(AuthBase):
    """The key alone; an `auth` of its own keeps requests from sending what ~/.netrc has for that host."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key is not None:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def chat_endpoint(address: str, model: str, key_variable: str | None, timeout: float) -> ChatEndpoint:
    """Check where a question would go; nothing is sent.

    Args:
        address: base address, e.g. `http://localhost:8000/v1`, or that of `…/chat/completions`.
        model: the model's name there.
        key_variable: name of the environment variable that holds the key; None sends no key.
        timeout: seconds for one try.

    Raises:
        UserError: no http(s) address, a password or query in it, a key that would go unencrypted over a
            network, a variable that is not set, or no model.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port  # a port that is none is told when it is read
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x1f]", address):
        raise UserError(
            f"--endpoint must be an address such as http://localhost:8000/v1, not {address[:EXCERPT]!r}."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UserError(
            "--endpoint must have no password, query or fragment; name a key's variable in --key-env."
        )
    if not _plain(model):
        raise UserError("--model must be the model's name at the endpoint, in one line.")
    key = None
    if key_variable is not None:
        key = os.environ.get(key_variable)
        if not key:
            raise UserError(f"The environment variable {key_variable} of --key-env is not set.")
        if len(key) > MAX_KEY or not re.fullmatch(r"[!-~]+", key):
            raise UserError(
                f"The environment variable {key_variable} holds no key, which is letters, digits and signs."
            )
        if parts.scheme == "http" and host not in LOOPBACK:
            raise UserError(
                f"The key would go to {host} unencrypted; give an https address, or leave out --key-env."
            )
    path = parts.path.rstrip("/")
    url = f"{parts.scheme}://{parts.netloc}{path if path.endswith(PATH) else path + PATH}"
    return ChatEndpoint(url, parts.netloc, model, key, timeout)


def _plain(text: str) -> bool:
    return bool(text.strip()) and len(text) <= EXCERPT and text.isprintable()


def ask_model(endpoint: ChatEndpoint, messages: Sequence[Mapping[str, Any]]) -> str:
    """The text that the model answers; tried three times where the endpoint is busy or can't be reached.

    Args:
        endpoint: see `chat_endpoint`.
        messages: of the chat, JSON-able.

    Raises:
        UserError: no answer, one that is refused, too large, cut off or of another form.
    """
    body = {"model": endpoint.model, "messages": list(messages), "stream": False}
    for number in range(1, TRIES + 1):
        status, content, pause, fault = _posted(endpoint, body, number)
        if fault is None and status not in BUSY:
            break
        why = fault or f"answers HTTP {status}{_told(content, endpoint.key)}"
        if number == TRIES:
            raise UserError(
                f"{endpoint.host} {why}, {TRIES} times; try again later, or name another --endpoint."
            )
        say(f"{endpoint.host} {why}; asked again in {pause:g} s")
        time.sleep(pause)
    if status in (401, 403):
        raise UserError(
            f"{endpoint.host} refuses the login (HTTP {status}); name a valid key's variable in --key-env."
        )
    if status != 200:
        raise UserError(
            f"{endpoint.host} answers HTTP {status}{_told(content, endpoint.key)}; "
            "check --endpoint and --model."
        )
    return _text_of(content, endpoint)


def _posted(
    endpoint: ChatEndpoint, body: Mapping[str, Any], number: int
) -> tuple[int, bytes, float, str | None]:
    """Status, content, seconds before another try, and why there is no answer."""
    pause, ends = FIRST_PAUSE_S * 2 ** (number - 1), time.monotonic() + endpoint.timeout
    late = UserError(
        f"{endpoint.host} does not answer within {endpoint.timeout:g} s; give more with --timeout."
    )
    try:
        with requests.post(
            endpoint.url,
            json=body,
            auth=_Login(endpoint.key),
            headers={"Accept-Encoding": "identity"},
            timeout=endpoint.timeout,
            allow_redirects=False,  # images and key go where the user said, and nowhere else
            stream=True,
        ) as answer:
            content = b""
            for chunk in answer.iter_content(1 << 14):
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    raise UserError(
                        f"{endpoint.host} answers more than 1 MiB, which no chat does; check --endpoint."
                    )
                if time.monotonic() > ends:
                    raise late
            asked = answer.headers.get("Retry-After", "")
            if asked.isdecimal() and len(asked) < 4:
                pause = min(max(pause, float(asked)), LONGEST_PAUSE_S)
            return answer.status_code, content, pause, None
    except requests.exceptions.ReadTimeout:
        raise late from None  # not asked again: the endpoint may have worked, and charge for it
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
        # A stall within the answer is a ConnectionError too.
        if time.monotonic() >= ends and not isinstance(error, requests.exceptions.ConnectTimeout):
            raise late from None
        return 0, b"", pause, f"can't be reached ({type(error).__name__})"
    except (requests.RequestException, ValueError) as error:
        raise UserError(
            f"{endpoint.host} can't be asked ({type(error).__name__}); check --endpoint."
        ) from None


def _told(content: bytes, key: str | None) -> str:
    """What an error's body says, in one short line without the key."""
    text = content[:4096].decode("utf-8", "replace")
    try:
        document = json.loads(content)
        error = document.get("error", document) if isinstance(document, dict) else text
        text = str(error.get("message", "")) if isinstance(error, dict) else str(error)
    except (ValueError, RecursionError):
        pass
    if key is not None:
        text = text.replace(key, "•••")
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return f": {line[:EXCERPT].rstrip('.')}" if line else ""


def _text_of(content: bytes, endpoint: ChatEndpoint) -> str:
    other = UserError(
        f"What answers at {endpoint.host} is no OpenAI-compatible chat endpoint; check --endpoint."
    )
    try:
        choice = json.loads(content)["choices"][0]
        text, ended = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise other from None
    if ended == "length":
        raise UserError(
            f"The answer of {endpoint.model} is cut off; allow it a longer one, or take another --model."
        )
    if isinstance(text, list):  # parts, as some servers answer
        text = "".join(
            part["text"] for part in text if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    if not isinstance(text, str) or not text.strip():
        raise UserError(f"{endpoint.model} answers nothing; does it take images?")
    return text
