"""Who may ask."""

import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from cluster.errors import UserError
from training.serving.access import TOKEN, Access, access_of
from training.serving.section import ServeSection

SECRET = "a-token-of-enough-letters"


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.9.1"])
def test_this_machine_alone_needs_no_token(host: str) -> None:
    assert access_of(ServeSection(host=host)) == Access(None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "line-7.plant.example"])
def test_every_other_host_gets_a_new_one(host: str) -> None:
    first, second = access_of(ServeSection(host=host)), access_of(ServeSection(host=host))
    assert first.made
    assert first.token != second.token
    assert len(first.token or "") >= 32


def test_the_environment_is_asked_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("another-token-of-letters\n")
    section = ServeSection(token_file=str(file))
    assert access_of(section) == Access("another-token-of-letters")
    monkeypatch.setenv(TOKEN, SECRET)
    assert access_of(section) == Access(SECRET)


@pytest.mark.parametrize(
    "text", ["", "CHANGE", "short", "a token with spaces in it", "zwölf-und-vier-sind", "a" * 15]
)
def test_tokens_that_protect_nothing_are_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, text)
    with pytest.raises(UserError, match=TOKEN):
        access_of(ServeSection())


def test_a_token_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        access_of(ServeSection(token_file=str(tmp_path / "missing")))
    (tmp_path / "odd").write_bytes(os.urandom(8) + b"\xff")
    with pytest.raises(UserError):
        access_of(ServeSection(token_file=str(tmp_path / "odd")))


def test_the_right_header() -> None:
    access = Access(SECRET)
    assert access.allows(f"Bearer {SECRET}")
    assert access.allows(f"bearer {SECRET}")
    for header in (None, "", SECRET, f"Basic {SECRET}", "Bearer", "Bearer ", f"Bearer {SECRET}x"):
        assert not access.allows(header)


@given(st.text())
def test_no_other_text_is_the_token(text: str) -> None:
    assert not Access(SECRET).allows(text)
    assert Access(None).allows(text)
