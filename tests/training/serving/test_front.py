"""The HTTP side over a real detector, in one process: what is answered, and every way to be refused."""

import asyncio
import base64
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from cluster.registry.registry import Registry
from tests.training.serving.registered_detectors import CLASSES, NAME, REFERENCE, png, registered, tracker_in
from training.prediction.few_images import detect
from training.serving.access import Access
from training.serving.answering import Answering
from training.serving.front import Front, NoAnswerError
from training.serving.messages import Answer, Asked, Fault, Standing
from training.serving.section import ServeSection
from training.serving.served_model import ServedModel
from training.steps import load_detector

LEAST = "0.0001"  # random weights are never sure
SECTION = ServeSection(max_mb=1, max_images=3, queue=8, max_pixels=100_000)


class InProcess:
    """Answers in this process, as a replica does in its own."""

    def __init__(self, model: ServedModel, section: ServeSection) -> None:
        self.model, self.answering = model, Answering(section)
        self.standing = Standing("one", 1, NAME, model.identity, "it was asked for")
        self.stuck = self.lost = False

    async def answer(self, asked: Asked, lost: Callable[[], None]) -> Answer | Fault:
        if self.lost:
            lost()
            raise NoAnswerError
        if self.stuck:
            await asyncio.sleep(60)
        laid_out = self.answering.laid_out(self.model, asked)
        if isinstance(laid_out, Fault):
            return laid_out
        (answer,) = self.answering.detected([(self.model, laid_out)])
        return answer

    async def standings(self) -> list[Standing]:
        return [self.standing]


@pytest.fixture(scope="module")
def weights(
    virgin_database: Path, tracked: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ServedModel]:
    folder = tmp_path_factory.mktemp("registry")
    tracker = tracker_in(tracked(folder / "work"))
    file = registered(tracker, folder / "1", 1, map50=0.5)
    version = Registry.open(tracker).version(REFERENCE)
    return file, ServedModel.load(tracker, version, torch.device("cpu"))


@pytest.fixture
def backend(weights: tuple[Path, ServedModel]) -> InProcess:
    return InProcess(weights[1], SECTION)


def client_of(backend: InProcess, section: ServeSection = SECTION, token: str | None = None) -> TestClient:
    front = Front(backend, section, Access(token), REFERENCE)
    return TestClient(front.app, base_url="http://localhost", raise_server_exceptions=False)


@pytest.fixture
def client(backend: InProcess) -> Iterator[TestClient]:
    with client_of(backend) as client:
        yield client


def boxes_of(document: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.array([[box[key] for key in ("x0", "y0", "x1", "y1", "score")] for box in document["boxes"]])


def error_of(response: Any, status: int) -> str:
    """The sentence of a refusal."""
    assert response.status_code == status, response.text
    document = response.json()
    assert set(document) == {"error"}
    assert len(document["error"].splitlines()) == 1
    return str(document["error"])


def test_an_image_gets_the_boxes_that_the_library_gives(
    client: TestClient, weights: tuple[Path, ServedModel], tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(png(120, 50))
    detector = load_detector(weights[0])
    (mine,) = detect(detector, [tmp_path / "a.png"], min_score=float(LEAST), device="cpu")
    answer = client.post(f"/detect?min_score={LEAST}", content=png(120, 50))
    assert answer.status_code == 200
    (document,) = answer.json()["images"]
    assert (document["width"], document["height"]) == (120, 50)
    assert document["model"] == {"name": NAME, "version": 1}
    told = boxes_of(document)
    assert len(told) > 5
    row = mine.row(detector.classes)  # type: ignore[union-attr]
    assert np.allclose(told, boxes_of(row), atol=0.01)  # norms are folded here
    assert [box["label"] for box in document["boxes"]] == [box["label"] for box in row["boxes"]]
    assert {box["label"] for box in document["boxes"]} <= set(CLASSES)
    assert (told[:, [0, 1]] >= 0).all()
    assert (told[:, 2] <= 120).all()
    assert (told[:, 3] <= 50).all()


def test_boxes_are_in_the_pixels_of_the_image_as_it_is_shown(client: TestClient) -> None:
    pixels = Image.open(io.BytesIO(png(80, 40)))
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    turned, plain = io.BytesIO(), io.BytesIO()
    pixels.save(turned, "PNG", exif=exif)
    pixels.transpose(Image.Transpose.ROTATE_270).save(plain, "PNG")
    told = [
        client.post(f"/detect?min_score={LEAST}", content=one.getvalue()).json() for one in (turned, plain)
    ]
    assert told[0] == told[1]
    assert (told[0]["images"][0]["width"], told[0]["images"][0]["height"]) == (40, 80)


def test_many_images_are_answered_in_their_order(client: TestClient) -> None:
    files = [("image", (f"{n}.png", png(60 + n, 50, n), "image/png")) for n in range(3)]
    told = client.post(f"/detect?min_score={LEAST}", files=files).json()["images"]
    assert [(one["name"], one["width"]) for one in told] == [("0.png", 60), ("1.png", 61), ("2.png", 62)]
    for number, one in enumerate(told):
        alone = client.post(f"/detect?min_score={LEAST}", content=png(60 + number, 50, number))
        assert one["boxes"] == alone.json()["images"][0]["boxes"]


def test_an_image_by_its_address(backend: InProcess, tmp_path: Path) -> None:
    section = SECTION.model_copy(update={"roots": (str(tmp_path),)})
    backend.answering = Answering(section)
    (tmp_path / "a.png").write_bytes(png())
    with client_of(backend, section) as client:
        told = client.post(f"/detect?min_score={LEAST}", json={"uri": f"{tmp_path}/a.png"}).json()
        sent = client.post(f"/detect?min_score={LEAST}", content=png()).json()
        assert told["images"][0]["boxes"] == sent["images"][0]["boxes"]
        assert "not below" in error_of(client.post("/detect", json={"uri": "/etc/passwd"}), 403)
        assert "missing" in error_of(client.post("/detect", json={"uri": f"{tmp_path}/b.png"}), 422)


def test_no_address_is_read_by_default(client: TestClient) -> None:
    for uri in ("/etc/passwd", "http://169.254.169.254/", "s3://plant/a.png"):
        assert "no images by their address" in error_of(client.post("/detect", json={"uri": uri}), 403)


def test_pictures(client: TestClient) -> None:
    answer = client.post(f"/overlay?min_score={LEAST}", content=png(90, 70))
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-model-version"] == "1"
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.size == (90, 70)
    document = client.post(f"/detect?min_score={LEAST}&overlay=true", content=png(90, 70)).json()
    assert base64.b64decode(document["images"][0]["overlay"]) == answer.content
    plain = client.post("/overlay?min_score=0.99", content=png(90, 70))
    before = np.asarray(Image.open(io.BytesIO(png(90, 70))))
    assert (np.asarray(Image.open(io.BytesIO(plain.content))) == before).all()  # nothing was found


def bomb() -> bytes:
    file = io.BytesIO()
    Image.new("1", (60_000, 60_000)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"no image", "not an image"),
        (png()[:200], "damaged"),
        (png(7, 7), "smaller than 8"),
        (png(400, 300), "exceed the limit of 100,000"),
        (b"\x00" * 1000, "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    ],
)
def test_bad_images_are_said_in_a_sentence(client: TestClient, body: bytes, words: str) -> None:
    assert words in error_of(client.post("/detect", content=body), 422)


def test_a_decompression_bomb_is_refused_before_it_is_decoded(backend: InProcess) -> None:
    section = SECTION.model_copy(update={"max_mb": 8})
    with client_of(backend, section) as client:
        assert "decompression bomb" in error_of(client.post("/detect", content=bomb()), 422)


def test_a_bad_image_among_good_ones_is_named(client: TestClient) -> None:
    files = [("image", ("good.png", png())), ("image", ("bad.png", b"no image"))]
    assert "bad.png: not an image" in error_of(client.post("/detect", files=files), 422)


def test_limits(client: TestClient) -> None:
    assert "1 MiB" in error_of(client.post("/detect", content=b"x" * (1 << 20) + b"x"), 413)
    files = [("image", (f"{n}.png", png())) for n in range(4)]
    assert "At most 3 images" in error_of(client.post("/detect", files=files), 413)
    assert "At most 1 images" in error_of(client.post("/overlay", files=files[:2]), 413)

    def chunks() -> Iterator[bytes]:  # without a length
        for _ in range(5):
            yield b"x" * (1 << 18)

    assert "1 MiB" in error_of(client.post("/detect", content=chunks()), 413)


def test_other_paths_methods_and_words(client: TestClient) -> None:
    assert "POST /detect" in error_of(client.get("/"), 404)
    assert "POST /detect" in error_of(client.get("/detect"), 405)
    assert "min_score" in error_of(client.post("/detect?min_score=2", content=png()), 400)
    assert "no image" in error_of(client.post("/detect", content=b""), 400)


def test_whoever_has_no_token_is_told_nothing(backend: InProcess) -> None:
    token = "a-token-of-enough-letters"
    with client_of(backend, token=token) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {token}"}):
            for path in ("/detect", "/overlay"):
                assert "token" in error_of(client.post(path, content=png(), headers=headers), 401)
            assert "token" in error_of(client.get("/metrics", headers=headers), 401)
            assert set(client.get("/healthz", headers=headers).json()) == {"status"}
            assert client.get("/readyz", headers=headers).json() == {"ready": True}
        right = {"Authorization": f"Bearer {token}", "Host": "plant.example"}
        assert client.post("/detect", content=png(), headers=right).status_code == 200
        assert client.get("/healthz", headers=right).json()["reference"] == REFERENCE


def test_without_a_token_pages_of_other_sites_are_refused(client: TestClient) -> None:
    for host in ("evil.example", "evil.example:8000", "localhost.evil.example", "[::2]:8000", ""):
        assert "names of this machine" in error_of(client.post("/detect", headers={"Host": host}), 403)
    for host in ("localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "[::1]"):
        assert client.post("/detect", content=png(), headers={"Host": host}).status_code == 200


def test_when_no_replica_answers(backend: InProcess) -> None:
    with client_of(backend, SECTION.model_copy(update={"timeout_s": 0.2})) as client:
        backend.lost = True
        answer = client.post("/detect", content=png())
        assert "lost" in error_of(answer, 503)
        assert int(answer.headers["retry-after"]) >= 1
        backend.lost, backend.stuck = False, True
        answer = client.post("/detect", content=png())
        assert "No answer within 0.2 s" in error_of(answer, 503)
        assert int(answer.headers["retry-after"]) >= 1
        figures = figures_of(client)
        assert figures["agssp_serve_retries_total", ()] == 1
        assert figures["agssp_serve_requests_total", (("path", "/detect"), ("status", "503"))] == 2


def figures_of(client: TestClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = client.get("/metrics").text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_figures_and_health(backend: InProcess) -> None:
    backend.standing = replace(
        backend.standing, refused=2, reason="it is worse", refusals=1, registry=False, images=5
    )
    with client_of(backend) as client:
        client.post("/detect", content=png())
        client.post("/detect", content=b"no image")
        figures = figures_of(client)
        labels = (("model", NAME), ("replica", "one"))
        assert figures["agssp_serve_version", labels] == 1
        assert figures["agssp_serve_refused_version", labels] == 2
        assert figures["agssp_serve_refusals_total", labels] == 1
        assert figures["agssp_serve_registry_readable", labels] == 0
        assert figures["agssp_serve_replica_images_total", labels] == 5
        assert figures["agssp_serve_images_total", ()] == 1
        assert figures["agssp_serve_waiting", ()] == 0
        assert figures["agssp_serve_requests_total", (("path", "/detect"), ("status", "422"))] == 1
        health = client.get("/healthz").json()
        assert health["status"] == "attention"
        (replica,) = health["replicas"]
        assert (replica["version"], replica["refused"], replica["reason"]) == (1, 2, "it is worse")


def test_an_ending_server_takes_nothing_in(backend: InProcess) -> None:
    front = Front(backend, SECTION, Access(None), REFERENCE)
    with TestClient(front.app, base_url="http://localhost") as client:
        front.ending = True
        answer = client.post("/detect", content=png())
        assert "ending" in error_of(answer, 503)
        assert "retry-after" in answer.headers
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").json()["status"] == "ending"


def test_an_answer_is_json_that_every_reader_accepts(client: TestClient) -> None:
    answer = client.post("/detect?min_score=0", content=png())
    json.loads(answer.text, parse_constant=lambda word: pytest.fail(word))
    assert answer.headers["cache-control"] == "no-store"
