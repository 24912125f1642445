"""The HTTP side of a served detector: who may ask, what may be asked, and how it is answered."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from cluster import json_text
from training.serving.access import Access
from training.serving.figures import Figures
from training.serving.messages import Answer, Asked, Fault, Standing
from training.serving.section import ServeSection
from training.serving.uploads import Options, RefusedRequest, asked_images
from training.serving.waiting import Waiting
from training.serving.watching import Watch

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
LOCAL = ("localhost", "127.0.0.1", "[::1]")
OWN_WAIT = 5  # seconds after which an ending server's successor may be there
Handler = Callable[[Request], Awaitable[Response]]


class NoAnswerError(Exception):
    """No replica could answer, however often it was asked."""


class Backend(Protocol):
    """What a front asks."""

    async def answer(self, asked: Asked, lost: Callable[[], None]) -> Answer | Fault:
        """The boxes of an image.

        Args:
            asked: the image.
            lost: called whenever a replica was lost and the image is asked again.

        Raises:
            NoAnswerError: no replica could answer.
        """

    async def standings(self) -> list[Standing]:
        """What the replicas said last; OSError or TimeoutError where that can't be had."""


class Front:
    """The application over a backend.

    Args:
        backend: answers.
        section: the config.
        access: who may ask.
        reference: the model's name with its alias, as the server was told.

    Attributes:
        app: the ASGI application.
        ending: set when no more images should be taken in.
    """

    def __init__(self, backend: Backend, section: ServeSection, access: Access, reference: str) -> None:
        self._backend, self._section, self._access = backend, section, access
        self._reference, self.ending = reference, False
        self._waiting = Waiting(section.queue, section.queue_mb, section.timeout_s)
        self._watch = Watch(backend.standings, forget_after(section))
        self._figures = Figures(self._watch.standings, lambda: self._waiting.images)
        routes = [
            Route("/detect", self._counted(self._detect), methods=["POST"]),
            Route("/overlay", self._counted(self._overlay), methods=["POST"]),
            Route("/healthz", self._health),
            Route("/readyz", self._ready),
            Route("/metrics", self._metrics),
        ]
        faults: dict[Any, Any] = {HTTPException: _http_fault, RefusedRequest: _refused, Exception: _own_fault}
        self.app = Starlette(routes=routes, exception_handlers=faults, lifespan=self._living)

    @asynccontextmanager
    async def _living(self, app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(self._watch.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _counted(self, handler: Handler) -> Handler:
        """The handler with its requests counted by status."""

        async def answer(request: Request) -> Response:
            status = 500
            try:
                response = await handler(request)
                status = response.status_code
                return response
            except RefusedRequest as refusal:
                status = refusal.status
                raise
            finally:
                self._figures.requests.labels(request.url.path, str(status)).inc()

        return answer

    def _let_in(self, request: Request) -> None:
        """Refuse strangers, and pages of other sites that a browser of this machine shows.

        Raises:
            RefusedRequest: 401 or 403.
        """
        if not self._access.allows(request.headers.get("authorization")):
            raise RefusedRequest(401, "The token is missing or wrong: send Authorization: Bearer TOKEN.")
        host = request.headers.get("host", "").lower()
        name = re.sub(r":[0-9]*$", "", host) if not host.endswith("]") else host
        if self._access.token is None and name not in (*LOCAL, self._section.host):
            raise RefusedRequest(403, "Without a token only names of this machine are answered.")

    async def _detect(self, request: Request) -> Response:
        images, answers = await self._answered(request, drawn=False)
        documents = []
        for asked, answer in zip(images, answers, strict=True):
            document = answer.document(asked.name)
            if asked.drawn:
                document["overlay"] = base64.b64encode(answer.picture).decode()
            documents.append(document)
        return _json({"images": documents})

    async def _overlay(self, request: Request) -> Response:
        _, (answer,) = await self._answered(request, drawn=True, max_images=1)
        headers = {**HEADERS, "X-Model-Version": str(answer.version)}
        return Response(answer.picture, media_type="image/png", headers=headers)

    async def _answered(
        self, request: Request, *, drawn: bool, max_images: int | None = None
    ) -> tuple[list[Asked], list[Answer]]:
        """A request's images and their answers.

        Raises:
            RefusedRequest: the request is at fault (4xx), or can't be answered now (429, 503).
        """
        self._let_in(request)
        section = self._section
        if self.ending:
            raise RefusedRequest(503, "This server is ending; another may be there soon.", OWN_WAIT)
        options = Options.of(request.query_params, section.min_score, drawn=drawn)
        length = int(request.headers.get("content-length") or section.max_bytes)
        if length > section.max_bytes:
            raise self._too_large()
        with self._waiting.place(length / 2**20) as place:
            body = await self._body(request)
            images = asked_images(
                body,
                request.headers.get("content-type", ""),
                options,
                max_images=max_images or section.max_images,
                by_address=bool(section.roots),
            )
            place.hold(len(images))
            with self._waiting.timed(), self._figures.seconds.time():
                answers = await self._ask(images)
        self._figures.images.inc(len(answers))
        self._figures.boxes.inc(sum(len(answer.boxes) for answer in answers))
        return images, answers

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(self._section.timeout_s):
                async for part in request.stream():
                    body += part
                    if len(body) > self._section.max_bytes:
                        raise self._too_large()
        except TimeoutError:
            seconds = self._section.timeout_s
            raise RefusedRequest(408, f"The request was not all there after {seconds:g} s.") from None
        except ClientDisconnect:
            raise RefusedRequest(400, "The client left before it had sent all.") from None
        return bytes(body)

    def _too_large(self) -> RefusedRequest:
        return RefusedRequest(413, f"A request has at most {self._section.max_mb:g} MiB.")

    async def _ask(self, images: list[Asked]) -> list[Answer]:
        """All images at once; the first that gets no boxes is said.

        Raises:
            RefusedRequest: an image that can't be used, or no answer in time.
        """
        lost = self._figures.retries.inc
        try:
            async with asyncio.timeout(self._section.timeout_s):
                told = await asyncio.gather(*(self._backend.answer(asked, lost) for asked in images))
        except TimeoutError:
            sentence = f"No answer within {self._section.timeout_s:g} s; send it again later."
            raise RefusedRequest(503, sentence, self._waiting.seconds) from None
        except NoAnswerError:
            sentence = "The replicas that should answer were lost; send it again later."
            raise RefusedRequest(503, sentence, self._waiting.seconds) from None
        answers = []
        for asked, answer in zip(images, told, strict=True):
            if isinstance(answer, Fault):
                raise RefusedRequest(answer.status, f"{asked.name}: {answer.reason}.")
            answers.append(answer)
        return answers

    async def _health(self, request: Request) -> Response:
        standings = self._watch.standings()
        ill = not standings or any(one.refused is not None or not one.registry for one in standings)
        status = "ending" if self.ending else "attention" if ill else "ok"
        try:
            self._let_in(request)
        except RefusedRequest:  # probes have no token; they are told no more
            return _json({"status": status})
        replicas = [
            {
                "replica": one.replica,
                "pid": one.pid,
                "version": one.version,
                "grounds": one.grounds,
                "refused": one.refused,
                "reason": one.reason,
                "registry": one.registry,
            }
            for one in standings
        ]
        about = {"reference": self._reference, "waiting": self._waiting.images, "replicas": replicas}
        return _json({"status": status, **about})

    async def _ready(self, request: Request) -> Response:
        if self.ending or not self._watch.standings():
            return _json({"ready": False}, 503, {"Retry-After": str(OWN_WAIT)})
        return _json({"ready": True})

    async def _metrics(self, request: Request) -> Response:
        self._let_in(request)
        return Response(self._figures.text(), media_type="text/plain; version=0.0.4", headers=HEADERS)


def forget_after(section: ServeSection) -> float:
    """Seconds after which a replica that says no more is taken for gone."""
    return 3 * section.poll_s + 30


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    text = json_text.dumps(content) + "\n"
    return Response(text, status, {**HEADERS, **(headers or {})}, "application/json")


async def _refused(request: Request, refusal: RefusedRequest) -> Response:
    headers = {} if refusal.wait is None else {"Retry-After": str(refusal.wait)}
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return _json({"error": str(refusal)}, refusal.status, headers)


async def _http_fault(request: Request, fault: HTTPException) -> Response:
    paths = "POST /detect, POST /overlay, GET /healthz, /readyz and /metrics are what is here."
    return _json({"error": f"{fault.detail}: {paths}"}, fault.status_code, dict(fault.headers or {}))


async def _own_fault(request: Request, fault: Exception) -> Response:
    """Starlette raises the fault again after this answer, so that the server logs it."""
    return _json({"error": "This is a fault of the server; its log says more."}, 500)
