"""Secrets in URIs: found, masked, refused wherever a config may hold them; innocent texts are let pass."""

import pytest
from hypothesis import given, strategies as st

from cluster.config import Section, load
from cluster.errors import UserError
from cluster.storage.secret_uris import has_secret, masked, refuse_secrets

SECRET = "hush-hush-1"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        (f"postgresql://me:{SECRET}@db:5432/x", "postgresql://me:***@db:5432/x"),
        (f"postgresql+psycopg2://me:{SECRET}/2@db/x", "postgresql+psycopg2://me:***@db/x"),
        (f"postgresql://db/x?user=me&password={SECRET}", "postgresql://db/x?***"),
        (f"http://me:{SECRET}@host:5000", "http://me:***@host:5000"),
        (f"https://{SECRET}@host", "https://:***@host"),
        (f"s3://AKIA:{SECRET}@bucket/images", "s3://AKIA:***@bucket/images"),
        (f"s3://bucket/images?secret_key={SECRET}", "s3://bucket/images?***"),
        (f"abfss://c@account.dfs.core.windows.net/x?sas_token={SECRET}", None),
        (f"https://host/x?X-Amz-Signature={SECRET}", "https://host/x?***"),
    ],
)
def test_secrets_are_found_and_masked(uri: str, shown: str | None) -> None:
    assert has_secret(uri)
    assert SECRET not in masked(uri)
    assert shown is None or masked(uri) == shown
    with pytest.raises(UserError, match="holds a login") as caught:
        refuse_secrets(uri, "corpus.root")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/images",
        "s3://bucket/file@2x.png",
        "s3://bucket/x?endpoint_override=host:9000&scheme=http",
        "postgresql://me@db:5432/x",
        "http://host:5000",
        "http://host:5000/a@b",
        "abfss://container@account.dfs.core.windows.net/x",
        "sqlite:////home/me/a@b:c/mlflow.db",
        "me:not-a-uri@all",
        "a plain sentence",
    ],
)
def test_innocent_texts_pass(text: str) -> None:
    assert not has_secret(text)
    assert masked(text) == text
    refuse_secrets(text, "x")


@given(st.text(st.characters(exclude_characters="@:/?#%&", codec="utf-8"), min_size=4))
def test_no_password_is_ever_repeated(password: str) -> None:
    shown = masked(f"mysql+pymysql://operator:{password}@dbhost/tracking?charset=utf8")
    assert shown == "mysql+pymysql://operator:***@dbhost/tracking?***"


class Inner(Section):
    roots: tuple[str, ...] = ()


class Outer(Section):
    inner: Inner = Inner()


def test_every_text_of_a_config_is_looked_at() -> None:
    words = [f"inner.roots=[photos, s3://AKIA:{SECRET}@bucket/x]"]
    with pytest.raises(UserError, match=r"inner\.roots\.1=.*AWS_ACCESS_KEY_ID") as caught:
        load(Outer, [], words, {})
    assert SECRET not in str(caught.value)
