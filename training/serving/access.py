"""Who may ask: a bearer token, from the environment, from a file, or made here."""

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import UserError
from training.serving.section import ServeSection

TOKEN = "AGSSP_SERVE_TOKEN"
LEAST = 16  # characters
SIGNS = re.compile(r"[\x21-\x7e]+")  # what a header can carry


@dataclass(frozen=True)
class Access:
    """The rule of who may ask.

    Attributes:
        token: the token; None where none is needed.
        made: whether it was made here, so that nobody knows it yet.
    """

    token: str | None
    made: bool = False

    def allows(self, header: str | None) -> bool:
        """Whether an `Authorization` header is right; takes the same time for every wrong one."""
        if self.token is None:
            return True
        scheme, _, given = (header or "").partition(" ")
        # Digests have one length, whatever was sent.
        sides = [hashlib.sha256(text.strip().encode()).digest() for text in (given, self.token)]
        return hmac.compare_digest(*sides) and scheme.lower() == "bearer"


def access_of(section: ServeSection) -> Access:
    """The token of the environment, else of `serve.token_file`, else none here and a new one elsewhere.

    Raises:
        UserError: a token that is too short, that no header can carry, or a file that can't be read.
    """
    if TOKEN in os.environ:
        return Access(_checked(os.environ[TOKEN], TOKEN))
    if section.token_file:
        try:
            text = Path(section.token_file).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "no text"
            raise UserError(f"serve.token_file={section.token_file} can't be read ({reason}).") from None
        return Access(_checked(text, "serve.token_file"))
    if section.is_local:
        return Access(None)
    return Access(secrets.token_urlsafe(32), made=True)


def _checked(text: str, name: str) -> str:
    token = text.strip()
    if len(token) < LEAST or not SIGNS.fullmatch(token):
        raise UserError(
            f"{name} must hold a token of {LEAST} letters, digits or signs at least, in one line; "
            "python -c 'import secrets; print(secrets.token_urlsafe())' prints one."
        )
    return token
