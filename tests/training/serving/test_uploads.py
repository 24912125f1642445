"""Bodies of requests: what curl and clients send, and what nobody should."""

import pytest
import requests
from hypothesis import given, strategies as st

from training.serving.messages import Asked
from training.serving.uploads import Options, RefusedRequest, asked_images

OPTIONS = Options(0.5)


def images(body: bytes, kind: str, max_images: int = 3, by_address: bool = False) -> list[Asked]:
    return asked_images(body, kind, OPTIONS, max_images=max_images, by_address=by_address)


def form(files: list[tuple[str, bytes]], boundary: str = "dividing-line-0123456789") -> tuple[bytes, str]:
    """A form by hand, after RFC 7578."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        "Content-Type: image/png\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, data in files
    ]
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


@pytest.mark.parametrize(
    "kind", ["", "image/png", "IMAGE/JPEG", "application/octet-stream", "application/x-www-form-urlencoded"]
)
def test_a_body_is_an_image_as_it_is(kind: str) -> None:
    assert images(b"\x89PNG", kind) == [Asked("image", b"\x89PNG", min_score=0.5)]


@given(st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=3))
def test_a_forms_files_come_out_as_they_went_in(contents: list[bytes]) -> None:
    files = [(f"{number}.png", data) for number, data in enumerate(contents)]
    body, kind = form(files)
    assert [(one.name, one.data) for one in images(body, kind)] == files


def test_a_form_of_another_library_is_read() -> None:
    files = [("image", ("schön.png", b"\x00\r\n\xff", "image/png")), ("image", ("b.png", b"--", "image/png"))]
    request = requests.Request("POST", "http://localhost", files=files).prepare()
    assert isinstance(request.body, bytes)
    told = images(request.body, str(request.headers["Content-Type"]))
    assert [(one.name, one.data) for one in told] == [("schön.png", b"\x00\r\n\xff"), ("b.png", b"--")]


@given(st.data())
def test_a_form_that_was_cut_loses_no_image_in_silence(data: st.DataObject) -> None:
    body, kind = form([("a.png", b"first"), ("b.png", b"second")])
    end = data.draw(st.integers(0, len(body) - len("--\r\n") - 1))
    with pytest.raises(RefusedRequest) as refusal:
        images(body[:end], kind)
    assert refusal.value.status == 400


def refused(body: bytes, kind: str) -> int | None:
    """The status by which a body is refused; None where images come out of it."""
    try:
        assert images(body, kind, by_address=True)
    except RefusedRequest as refusal:
        return refusal.status
    return None


@given(st.binary(max_size=300), st.sampled_from(["multipart/form-data; boundary=B", "application/json"]))
def test_any_bytes_are_read_or_refused(body: bytes, kind: str) -> None:
    assert refused(body, kind) in (None, 400, 413)


@given(st.text(max_size=80))
def test_any_content_type_is_known_or_refused(kind: str) -> None:
    assert refused(b"x", kind) in (None, 400, 415)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "image/png", 400),
        (b"x", "multipart/form-data", 400),
        (form([])[0], form([])[1], 400),
        (form([("a.png", b"")])[0], form([])[1], 400),
        (form([("a.png", b"x")] * 4)[0], form([])[1], 413),
        (b"x", "text/plain", 415),
        (b"x", "multipart/mixed; boundary=B", 415),
    ],
)
def test_what_is_no_image_is_refused(body: bytes, kind: str, status: int) -> None:
    with pytest.raises(RefusedRequest) as refusal:
        images(body, kind)
    assert refusal.value.status == status


def test_a_field_without_a_file_is_said() -> None:
    body = b'--B\r\nContent-Disposition: form-data; name="min_score"\r\n\r\n0.5\r\n--B--\r\n'
    with pytest.raises(RefusedRequest, match='"min_score" is no file'):
        images(body, "multipart/form-data; boundary=B")


def test_addresses_are_taken_only_where_they_are_allowed() -> None:
    with pytest.raises(RefusedRequest) as refusal:
        images(b'{"uri": "/etc/passwd"}', "application/json")
    assert refusal.value.status == 403
    told = images(b'{"uris": ["/a/b.png", "s3://c/d.png"]}', "application/json", by_address=True)
    assert [(one.uri, one.data) for one in told] == [("/a/b.png", b""), ("s3://c/d.png", b"")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"uri": 3}',
        b'{"uri": ""}',
        b'{"uris": "/a"}',
        b'{"uris": []}',
        b'{"uri": "/a", "more": 1}',
        b'{"uri": {"uri": "/a"}}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_a_list_of_addresses_has_one_form(body: bytes) -> None:
    with pytest.raises(RefusedRequest) as refusal:
        images(body, "application/json", by_address=True)
    assert refusal.value.status == 400


@pytest.mark.parametrize(("text", "score"), [("0", 0.0), ("0.25", 0.25), (".5", 0.5), ("0.999", 0.999)])
def test_scores(text: str, score: float) -> None:
    assert Options.of({"min_score": text}, 0.1, drawn=False).min_score == score


@pytest.mark.parametrize("text", ["", "1", "1.5", "-0.1", "nan", "inf", "1e-3", "0,5", "٠.٥", "0" * 500])
def test_scores_that_are_none(text: str) -> None:
    with pytest.raises(RefusedRequest, match="min_score is a number"):
        Options.of({"min_score": text}, 0.1, drawn=False)


def test_words_after_the_question_mark() -> None:
    assert Options.of({}, 0.25, drawn=False) == Options(0.25, drawn=False)
    assert Options.of({"overlay": "true"}, 0.25, drawn=False) == Options(0.25, drawn=True)
    with pytest.raises(RefusedRequest, match='did you mean "min_score"'):
        Options.of({"minscore": "0.5"}, 0.25, drawn=False)
    with pytest.raises(RefusedRequest, match="overlay is true or false"):
        Options.of({"overlay": "perhaps"}, 0.25, drawn=False)
