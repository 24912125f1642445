"""The page's server: only this machine, only with the secret, only images of the corpus."""

import http.client
import io
import json
import shutil
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np
import pytest
from PIL import Image

from benchmarks.review_page import MAPS, open_gallery, serving, write_workspace
from cluster.errors import UserError
from cluster.storage.storage import Storage
from pipelines.review.decisions import FILE, FOLDER, read_decisions
from pipelines.review.gallery import Gallery, shown_name
from pipelines.review.server import ReviewServer

IMAGES, TEST_EVERY = 130, 5  # three files of maps


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    write_workspace(Storage.open(str(folder)), IMAGES, folder, TEST_EVERY)
    return folder


@pytest.fixture(scope="module")
def storage(folder: Path) -> Storage:
    return Storage.open(str(folder))


@pytest.fixture(scope="module")
def gallery(storage: Storage) -> Gallery:
    return open_gallery(storage)


@pytest.fixture(scope="module")
def server(gallery: Gallery, storage: Storage) -> Iterator[ReviewServer]:
    with serving(gallery, storage) as server:
        yield server


class Browser:
    """Requests as a browser on the page makes them, unless told otherwise."""

    def __init__(self, url: str) -> None:
        self.parts = urlsplit(url)

    def ask(
        self, path: str, body: bytes | None = None, method: str | None = None, **headers: str
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self.parts.netloc, timeout=30)
        sent = {"Host": self.parts.netloc}
        if body is not None:
            sent |= {"Origin": f"http://{self.parts.netloc}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        target = path if path.startswith("/") else self.parts.path + path
        connection.request(method or ("GET" if body is None else "POST"), target, body, sent)
        return connection.getresponse()

    def json(self, path: str) -> dict[str, object]:
        answer = self.ask(path)
        assert answer.status == 200
        found: dict[str, object] = json.loads(answer.read())
        return found


@pytest.fixture
def browser(server: ReviewServer, storage: Storage) -> Browser:
    storage.delete(FOLDER)
    return Browser(server.url)


def changes(*some: dict[str, object]) -> bytes:
    return json.dumps(some).encode()


def image_id(number: int) -> str:
    return f"{number:032x}"


def test_it_listens_on_this_machine_alone(server: ReviewServer) -> None:
    assert urlsplit(server.url).hostname == "127.0.0.1"
    assert len(urlsplit(server.url).path) > 30


@pytest.mark.parametrize("path", ["/", "/gallery.json", "/wrong/", "/wrong/gallery.json", "/favicon.ico"])
def test_without_the_secret_there_is_nothing(browser: Browser, path: str) -> None:
    assert browser.ask(path).status == 404


@pytest.mark.parametrize("host", ["evil.example", "localhost", "127.0.0.1", "127.0.0.1:1"])
def test_other_host_names_are_refused(browser: Browser, host: str) -> None:
    assert browser.ask("gallery.json", Host=host).status == 403


def test_nothing_comes_from_elsewhere(browser: Browser) -> None:
    for path in ("", "page.js", "page.css", "pseudo_boxes.js", "icon.svg"):
        answer = browser.ask(path)
        text = answer.read().decode()
        assert answer.status == 200
        assert "default-src 'none'" in str(answer.headers["Content-Security-Policy"])
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        links = text.replace("http://www.w3.org/2000/svg", "")  # a name, not an address
        assert "http:" not in links
        assert "https:" not in links
        assert "innerHTML" not in text


def test_the_document_holds_every_pretraining_image_and_no_other(browser: Browser, gallery: Gallery) -> None:
    document = browser.json("gallery.json")
    images = document["images"]
    assert isinstance(images, dict)
    expected = {image_id(n) for n in range(IMAGES) if n % TEST_EVERY}
    assert set(images["id"]) == expected
    assert document["held_out"] == IMAGES - len(expected)
    assert {len(column) for column in images.values()} == {len(expected)}
    assert sum(images["reference"]) == 2


def test_statistics_are_those_of_the_boxes_stage(storage: Storage, gallery: Gallery) -> None:
    table = storage.at("maps", MAPS[:16]).read_table("maps").to_pandas()
    own = table[[int(key, 16) % TEST_EVERY > 0 for key in table["image_id"]]]
    means = own.groupby("category")["map_max"].mean()
    for name, found in gallery.thresholds.items():
        assert found.mean_max == pytest.approx(means[name], abs=1e-12)
        assert found.threshold == pytest.approx(means[name] - 0.1, abs=1e-12)


def test_maps_are_those_of_the_table(browser: Browser, storage: Storage, gallery: Gallery) -> None:
    table = storage.at("maps", MAPS[:16]).read_table("maps")
    stack = table.column("map").combine_chunks().to_numpy_ndarray().astype(np.float32)
    by_id = dict(zip(table.column("image_id").to_pylist(), stack, strict=True))
    rows = [100, 3, 60, 3]
    got = np.frombuffer(browser.ask(f"maps?rows={','.join(map(str, rows))}").read(), "<f4")
    want = np.stack([by_id[gallery.rows[number]["image_id"]] for number in rows])
    np.testing.assert_array_equal(got.reshape(want.shape), want)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("rows=", 400),
        ("rows=-1", 400),
        ("rows=1,,2", 400),
        ("rows=١", 400),
        ("rows=" + ",".join(["1"] * 201), 400),
        ("rows=99999", 404),
    ],
)
def test_maps_asked_for_wrongly(browser: Browser, query: str, status: int) -> None:
    assert browser.ask(f"maps?{quote(query, safe='=,')}").status == status


def test_pictures_by_id(browser: Browser) -> None:
    answer = browser.ask(f"image/{image_id(1)}?side=320")
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert "max-age" in str(answer.headers["Cache-Control"])
    assert Image.open(io.BytesIO(answer.read())).size == (320, 320)
    assert Image.open(io.BytesIO(browser.ask(f"image/{image_id(1)}?side=1600").read())).size == (640, 640)


@pytest.mark.parametrize(
    "name",
    [image_id(0), "f" * 32, "..%2f..%2fetc%2fpasswd", "../../etc/passwd", "%2fetc%2fpasswd", "surface_0.jpg"],
)
def test_no_other_file_is_served(browser: Browser, name: str) -> None:
    """The first is held out, the others are no image of the corpus."""
    assert browser.ask(f"image/{name}").status == 404


def test_odd_sizes_are_refused(browser: Browser) -> None:
    for side in ("0", "99999", "x", "-1"):
        assert browser.ask(f"image/{image_id(1)}?side={side}").status == 400


def test_a_vanished_image_is_said_to_be_gone(folder: Path, storage: Storage) -> None:
    gallery = open_gallery(storage)
    gallery.row(image_id(1))["uri"] = str(folder / "gone.jpg")
    with serving(gallery, storage) as server:
        answer = Browser(server.url).ask(f"image/{image_id(1)}")
        assert (answer.status, answer.read()) == (410, b"file is missing")


def test_maps_that_vanished_are_said_without_a_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = Storage.open(str(tmp_path))
    write_workspace(storage, IMAGES, tmp_path)
    gallery = open_gallery(storage)
    shutil.rmtree(tmp_path / "maps")
    with serving(gallery, storage) as server:
        answer = Browser(server.url).ask(f"maps?rows={IMAGES - 1}")  # the first file is kept
        assert answer.status == 503
        assert answer.read().startswith(b"the workspace can't be read any more: ")
        assert "default-src 'none'" in str(answer.headers["Content-Security-Policy"])
    assert caplog.records == []
    assert "Traceback" not in capsys.readouterr().err


def test_decisions_are_written_and_come_back(browser: Browser, storage: Storage) -> None:
    box = [1, 2, 30, 40]
    sent = changes(
        {"image_id": image_id(1), "kind": "image", "verdict": "rejected"},
        {"image_id": image_id(3), "kind": "box", "box": box, "verdict": "accepted"},
    )
    assert browser.ask("decisions", sent).status == 200
    stored = read_decisions(storage)
    assert stored is not None
    assert stored.images == {image_id(1): "rejected"}
    found = browser.json("decisions")
    assert found["boxes"] == {image_id(3): [{"box": [1.0, 2.0, 30.0, 40.0], "verdict": "accepted"}]}
    undo = changes({"image_id": image_id(1), "kind": "image", "verdict": None})
    assert browser.ask("decisions", undo).status == 200
    assert browser.json("decisions")["images"] == {}


GOOD = changes({"image_id": image_id(1), "kind": "image", "verdict": "rejected"})


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (GOOD, {"Origin": "http://evil.example"}, 403),
        (GOOD, {"Origin": "null"}, 403),
        (GOOD, {"Content_Type": "text/plain"}, 403),
        (GOOD, {"Content_Type": "application/x-www-form-urlencoded"}, 403),
        (b"{", {}, 422),
        (b'{"image_id": 1}', {}, 422),
        (changes({"image_id": "../x", "kind": "image", "verdict": "rejected"}), {}, 422),
        (changes({"image_id": image_id(1), "kind": "image", "verdict": "maybe"}), {}, 422),
        (changes({"image_id": image_id(1), "kind": "box", "verdict": "rejected"}), {}, 422),
        (changes({"image_id": image_id(0), "kind": "image", "verdict": "rejected"}), {}, 404),
        (changes({"image_id": "f" * 32, "kind": "image", "verdict": "rejected"}), {}, 404),
        (b" " * ((1 << 20) + 1), {}, 413),
    ],
)
def test_other_decisions_are_refused_and_nothing_is_written(
    browser: Browser, storage: Storage, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert browser.ask("decisions", body, **headers).status == status
    assert not storage.at(FOLDER).exists(FILE)


def test_boxes_beyond_the_most_of_an_image_are_one_sentence(browser: Browser, storage: Storage) -> None:
    sent: list[dict[str, object]] = [
        {"image_id": image_id(1), "kind": "box", "box": [0, 0, 1 + n, 1], "verdict": "accepted"}
        for n in range(1001)
    ]
    answer = browser.ask("decisions", changes(*sent))
    assert answer.status == 409
    assert answer.read().decode() == (
        f"At most 1,000 boxes of one image can be decided on, and {image_id(1)} would have 1,001; "
        "nothing was saved: reject the image whole, or take decisions back."
    )
    assert not storage.at(FOLDER).exists(FILE)
    assert browser.ask("decisions", changes(*sent[:1000])).status == 200


@pytest.mark.parametrize(
    "body", ["Content-Length: 1000\r\n\r\n[", "Transfer-Encoding: chunked\r\n\r\n5\r\n[    \r\n"]
)
@pytest.mark.parametrize("reset", [False, True])
def test_a_browser_that_leaves_within_a_request_is_no_news(
    browser: Browser, storage: Storage, caplog: pytest.LogCaptureFixture, body: str, reset: bool
) -> None:
    host = browser.parts.netloc
    head = f"POST {browser.parts.path}decisions HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
    with socket.create_connection((browser.parts.hostname, browser.parts.port)) as connection:
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(f"{head}Content-Type: application/json\r\n{body}".encode())
        time.sleep(0.2)  # else nothing was begun
    time.sleep(0.3)
    assert browser.ask("gallery.json").status == 200
    assert caplog.records == []
    assert not storage.at(FOLDER).exists(FILE)


def test_a_review_damaged_meanwhile_is_said_and_kept(browser: Browser, storage: Storage) -> None:
    storage.at(FOLDER).write(FILE, b"{")
    for answer in (browser.ask("decisions", GOOD), browser.ask("decisions"), browser.ask("references.yaml")):
        assert answer.status == 409
        assert b"is damaged" in answer.read()
    assert storage.at(FOLDER).read(FILE) == b"{"


def test_references_change_only_where_something_was_decided(browser: Browser, gallery: Gallery) -> None:
    assert browser.ask("references.yaml").read() == b""
    old = next(row for row in gallery.rows if row["role"] == "reference")
    new = next(row for row in gallery.rows if row["category"] == old["category"] and row is not old)
    verdicts = {old["image_id"]: "rejected", new["image_id"]: "accepted"}
    assert gallery.references(verdicts) == {old["category"]: [new["uri"]]}
    sent = [{"image_id": key, "kind": "reference", "verdict": value} for key, value in verdicts.items()]
    assert browser.ask("decisions", changes(*sent)).status == 200
    assert browser.ask("references.yaml").read().decode() == repr({old["category"]: [new["uri"]]})


def test_a_taken_port_is_said(server: ReviewServer, gallery: Gallery, storage: Storage) -> None:
    port = urlsplit(server.url).port
    with pytest.raises(UserError, match=f"Port {port} can't be used"):
        ReviewServer(gallery, storage, {}, repr, port or 0)


def test_names_are_the_last_two_parts() -> None:
    assert shown_name("/data/tiles/a b.png") == "tiles/a b.png"
    assert shown_name("s3://bucket/tiles/a%20b.png") == "tiles/a b.png"
