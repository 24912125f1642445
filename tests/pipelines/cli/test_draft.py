"""`agssp prompts draft` against a stub of a chat server on this machine: what is sent, taken and refused."""

import base64
import hashlib
import io
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image
from typer.testing import CliRunner, Result

from agssp import app
from cluster.errors import UserError
from pipelines.cli import chat
from pipelines.cli.draft import draft_text, drafted_defects
from pipelines.encoder.prompts import load_library

DEFECTS = [
    {"type": "squat", "features": "a dark shallow dent with a fine crack around it"},
    {"type": "corrugation", "features": "evenly spaced bright and dark ripples"},
]
KEY = "sk-very-secret-1234"


def chat_answer(text: Any, **more: Any) -> bytes:
    return json.dumps({"choices": [{"message": {"content": text}, **more}]}).encode()


GOOD = chat_answer(f"Here it is:\n```json\n{json.dumps({'defects': DEFECTS})}\n```", finish_reason="stop")


class Stub(ThreadingHTTPServer):
    """Answers each POST with the next of `answers`, the last again and again; keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = [(200, {}, GOOD)]
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.delay = 0.0
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *_: Any) -> None:
        """A reader that leaves is meant; its traceback would stand among the command's words."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Stub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, dict(self.headers), json.loads(body)))
        answers = self.server.answers
        status, headers, content = answers.pop(0) if len(answers) > 1 else answers[0]
        time.sleep(self.server.delay)
        if status == 0:
            self.connection.close()
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    monkeypatch.setattr(chat, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Stub() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a rail.png"
    pixels = np.random.default_rng(0).integers(0, 255, (40, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def draft(stub: Stub, image: Path, *more: str, category: str = "rail") -> Result:
    words = [category, str(image), "--endpoint", stub.address, "--model", "eye-1"]
    out = [] if "--out" in more else ["--out", str(image.parent / "draft.yaml")]
    return CliRunner().invoke(app, ["prompts", "draft", *words, *out, *more])


def refused(done: Result, told: str, folder: Path) -> None:
    assert done.exit_code == 2, done.output
    assert told in done.stderr
    assert "Traceback" not in done.output
    assert KEY not in done.output
    assert [path.name for path in folder.iterdir() if path.suffix != ".png"] == []


def test_a_draft_is_a_prompt_file_with_its_origin(stub: Stub, image: Path) -> None:
    done = draft(stub, image, "--json", "--side", "64")
    assert done.exit_code == 0, done.output
    path = image.parent / "draft.yaml"
    rail = load_library(path).category("rail")
    assert [defect.model_dump() for defect in rail.defects] == DEFECTS
    assert rail.object == load_library().category("rail").object
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any(f"Endpoint {stub.address.split('/')[2]}, model eye-1, 20" in line for line in head)
    assert any(f"a rail.png, sha256 {digest}." in line for line in head)
    assert json.loads(done.stdout.splitlines()[-1])["images"] == [{"name": "a rail.png", "sha256": digest}]
    shown = CliRunner().invoke(app, ["prompts", "show", "rail", f"maps.prompts=[{path}]"])
    assert "it appears as a dark shallow dent with a fine crack around it" in shown.stdout


def test_only_pixels_and_the_object_are_sent(stub: Stub, image: Path) -> None:
    picture = Image.open(image)
    exif = picture.getexif()
    exif[0x010E] = "line 3 of our works"
    picture.save(image, exif=exif)
    assert draft(stub, image, "--side", "64", "--object", "crane rail").exit_code == 0
    ((path, headers, body),) = stub.asked
    assert path == "/v1/chat/completions"
    assert "Authorization" not in headers
    assert (body["model"], body["stream"]) == ("eye-1", False)
    text, picture_part = body["messages"][0]["content"]
    assert "crane rail" in text["text"]
    data = base64.b64decode(picture_part["image_url"]["url"].removeprefix("data:image/jpeg;base64,"))
    sent = Image.open(io.BytesIO(data))
    assert sent.size == (64, 32)
    assert not sent.getexif()
    assert b"works" not in data
    assert "a rail" not in json.dumps(body)


def test_the_key_goes_to_the_endpoint_and_nowhere_else(
    stub: Stub, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_KEY", KEY)
    netrc = image.parent / "netrc.png"  # what requests would send of itself
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    done = draft(stub, image, "--key-env", "OUR_KEY")
    assert done.exit_code == 0, done.output
    assert stub.asked[0][1]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in done.output + (image.parent / "draft.yaml").read_text()
    (image.parent / "draft.yaml").unlink()
    assert draft(stub, image).exit_code == 0
    assert "Authorization" not in stub.asked[1][1]
    (image.parent / "draft.yaml").unlink()
    stub.answers = [(400, {}, json.dumps({"error": {"message": f"bad key {KEY}\x1b[2J"}}).encode())]
    refused(draft(stub, image, "--key-env", "OUR_KEY"), "answers HTTP 400: bad key •••", image.parent)


def test_a_busy_endpoint_is_asked_again(stub: Stub, image: Path) -> None:
    stub.answers = [(503, {}, b""), (0, {}, b""), (200, {}, GOOD)]
    done = draft(stub, image)
    assert done.exit_code == 0, done.output
    assert len(stub.asked) == 3
    assert "answers HTTP 503; asked again in 0 s" in done.stderr
    stub.answers = [(429, {"Retry-After": "999999"}, b"slow down")]
    (image.parent / "draft.yaml").unlink()
    refused(draft(stub, image), "answers HTTP 429: slow down, 3 times", image.parent)


def test_an_endpoint_that_takes_too_long_is_asked_once(stub: Stub, image: Path) -> None:
    stub.delay = 1.5
    refused(draft(stub, image, "--timeout", "1"), "does not answer within 1 s", image.parent)
    assert len(stub.asked) == 1


HOSTILE: list[tuple[int, dict[str, str], bytes, str]] = [
    (302, {"Location": "http://127.0.0.1:1/"}, b"", "answers HTTP 302"),
    (401, {}, b"", "refuses the login"),
    (404, {}, b"<html>", "answers HTTP 404: <html>; check --endpoint"),
    (200, {}, b"", "no OpenAI-compatible chat endpoint"),
    (200, {}, b"\xff\xfe", "no OpenAI-compatible chat endpoint"),
    (200, {}, b"[" * 100_000, "no OpenAI-compatible chat endpoint"),
    (200, {}, b'{"choices": []}', "no OpenAI-compatible chat endpoint"),
    (200, {}, b'{"choices": {"0": 1}}', "no OpenAI-compatible chat endpoint"),
    (200, {}, b" " * (1 << 21), "more than 1 MiB"),
    (200, {}, chat_answer(None), "answers nothing"),
    (200, {}, chat_answer([{"text": 3}, 4]), "answers nothing"),
    (200, {}, chat_answer('{"defects": [', finish_reason="length"), "is cut off"),
    (200, {}, chat_answer("I can't help with that."), "no JSON object with defects"),
    (200, {}, chat_answer('{"defects": ' + "[" * 5000), "no JSON object with defects"),
    (200, {}, chat_answer('{"defects": []}'), "sees no defect"),
    (200, {}, chat_answer('{"defects": ["scratch"]}'), 'has no "type" in words'),
    (200, {}, chat_answer('{"defects": [{"type": "a", "features": 1}]}'), 'has no "features" in words'),
    (
        200,
        {},
        chat_answer(json.dumps({"defects": [{"type": "a", "features": "x" * 301}]})),
        "no phrase of 1 to",
    ),
    (
        200,
        {},
        chat_answer(json.dumps({"defects": [{"type": "a\u0000", "features": "x"}]})),
        "no phrase of 1 to",
    ),
    (
        200,
        {},
        chat_answer(json.dumps({"defects": [{"type": "\ud800a", "features": "x"}]})),
        "no phrase of 1 to",
    ),
    (200, {}, chat_answer(json.dumps({"defects": [{"type": "…", "features": "x"}]})), "no phrase of 1 to"),
    (200, {}, chat_answer(json.dumps({"defects": DEFECTS * 11})), "lists 22 defects"),
]


@pytest.mark.parametrize(("status", "headers", "content", "told"), HOSTILE)
def test_a_hostile_answer_is_one_sentence_and_no_file(
    status: int, headers: dict[str, str], content: bytes, told: str, stub: Stub, image: Path
) -> None:
    stub.answers = [(status, headers, content)]
    refused(draft(stub, image), told, image.parent)
    assert len(stub.asked) == 1


def test_faults_of_the_words_send_nothing(stub: Stub, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_KEY", KEY)
    monkeypatch.setenv("BAD_KEY", f"{KEY}\nX-Other: 1")
    broken = image.parent / "broken.png"
    broken.write_bytes(b"GIF89a")
    cases: list[tuple[list[str], str]] = [
        (["--key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY of --key-env is not set"),
        (["--key-env", "BAD_KEY"], "BAD_KEY holds no key"),
        (["--endpoint", "http://gpu-7:8000/v1", "--key-env", "OUR_KEY"], "unencrypted"),
        (["--endpoint", "ftp://a/v1"], "must be an address such as"),
        (["--endpoint", "http://[::1/v1"], "must be an address such as"),
        (["--endpoint", "http://a:99999/v1"], "must be an address such as"),
        (["--endpoint", "http://user:word@a/v1"], "no password"),
        (["--model", "a\nb"], "--model must be"),
        (["--out", str(image.parent / "none" / "draft.yaml")], "does not exist"),
        (["--out", str(image)], "is there already"),
    ]
    for words, told in cases:
        refused(draft(stub, image, *words), told, image.parent)
    refused(draft(stub, broken), "broken.png can't be shown", image.parent)
    refused(draft(stub, image.parent / "none.png"), "file is missing", image.parent)
    refused(draft(stub, image, category="_"), "names no category", image.parent)
    assert stub.asked == []
    assert CliRunner().invoke(app, ["prompts", "draft", "rail", str(image), "--model", "m"]).exit_code == 2


def test_an_endpoint_that_is_not_there_is_told(stub: Stub, image: Path) -> None:
    address = stub.address
    stub.shutdown()
    stub.server_close()
    words = ["rail", str(image), "--endpoint", address, "--model", "m", "--out", str(image.parent / "d.yaml")]
    refused(CliRunner().invoke(app, ["prompts", "draft", *words]), "can't be reached", image.parent)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_answer_is_defects_or_one_sentence(answer: str) -> None:
    try:
        defects = drafted_defects(answer)
    except UserError:
        return
    assert defects


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries({"type": st.text(max_size=70), "features": st.text(max_size=320)}),
        min_size=1,
        max_size=21,
    ),
    st.text(max_size=80),
)
def test_what_is_taken_is_read_back_as_it_was(defects: list[dict[str, str]], note: str) -> None:
    try:
        taken = drafted_defects(json.dumps({"defects": defects}))
    except UserError:
        return
    text = draft_text("rail", "rail", taken, [note])  # proves itself that it is read so
    assert text.startswith("#")


def test_notes_stay_comments() -> None:
    for mark in ("\n", "\r", "\x85", "\u2028", "\u2029"):
        text = draft_text("rail", "rail", DEFECTS, [f"model{mark}categories: {{x: {{object: y}}}}"])
        assert text.splitlines()[0].startswith("# model")
        assert text.count("categories:") == 2
