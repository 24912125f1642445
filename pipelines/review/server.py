"""The review page's server: 127.0.0.1 only, everything below a secret path, images by their id alone."""

import re
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pyarrow as pa
import uvicorn
from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from cluster import json_text
from cluster.errors import UserError
from cluster.fault_words import in_words
from cluster.storage import Storage
from pipelines.images import ImageError
from pipelines.review.decisions import SAME_BOX, Change, Decisions, read_decisions, save_changes
from pipelines.review.gallery import TILE_SIDE, Gallery

HOST = "127.0.0.1"
PAGE = Path(__file__).parent / "page"
FILES = {
    "": ("page.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
    "pseudo_boxes.js": ("pseudo_boxes.js", "text/javascript"),
    "agreement.js": ("agreement.js", "text/javascript"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
SIDES = (TILE_SIDE, 1600)  # longer side of a picture: in a tile and in the large view
MAPS_AT_ONCE, MAX_BODY = 200, 1 << 20
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_CHANGES = TypeAdapter(tuple[Change, ...])

Patch = Callable[[Mapping[str, list[str]]], str]


class ReviewServer:
    """The page over one gallery.

    Args:
        gallery: images and maps to show.
        workspace: storage that keeps the review.
        about: text of the page's head: `project`, `workspace`, `maps`.
        patch: function from references by category to the config's lines.
        port: port to listen on; 0 takes a free one.

    Attributes:
        url: the page's address with the secret; whoever has it may look and decide.

    Raises:
        UserError: the port is taken, or the stored review is damaged.
    """

    def __init__(
        self, gallery: Gallery, workspace: Storage, about: Mapping[str, str], patch: Patch, port: int = 0
    ) -> None:
        self._gallery, self._workspace, self._patch = gallery, workspace, patch
        document = {"about": dict(about), **gallery.document(), "same_box": SAME_BOX}
        self._gallery_json = json_text.dumps(document).encode()
        self._writing = threading.Lock()
        read_decisions(workspace)
        # With the protocol named, asyncio turns off Nagle's delay of 40 ms a picture.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, port))
            self._socket.listen(128)  # clients that come before `serve` wait
        except OSError as error:
            self._socket.close()
            raise UserError(f"Port {port} can't be used ({error.strerror}); choose another --port.") from None
        self._origin = f"http://{HOST}:{self._socket.getsockname()[1]}"
        token = secrets.token_urlsafe(24)
        self.url = f"{self._origin}/{token}/"
        routes = [
            *(Route(f"/{name}", self._file(*file)) for name, file in FILES.items()),
            Route("/gallery.json", self._document),
            Route("/maps", self._maps),
            Route("/image/{image_id}", self._image),
            Route("/references.yaml", self._references),
            Route("/decisions", self._decisions),
            Route("/decisions", self._decide, methods=["POST"]),
        ]
        self.app = Starlette(routes=[Mount(f"/{token}", routes=routes)])
        self.app.add_middleware(BaseHTTPMiddleware, dispatch=self._guarded)
        self._server = uvicorn.Server(
            uvicorn.Config(self.app, log_level="error", access_log=False, lifespan="off", server_header=False)
        )

    def serve(self) -> None:
        """Answer until `stop` or an interrupt."""
        threading.Thread(target=self._gallery.warm, daemon=True).start()
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """End `serve`, from another thread."""
        self._server.should_exit = True

    async def _guarded(self, request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        """Refuse other hosts (DNS rebinding) and decisions from other pages; add the headers."""
        response: Response
        if f"http://{request.headers.get('host')}" != self._origin:
            response = PlainTextResponse("wrong host", 403)
        elif request.method == "POST" and not self._own(request):
            response = PlainTextResponse("decisions are taken from this page only", 403)
        else:
            try:
                response = await answer(request)
            except (OSError, pa.ArrowException) as error:
                reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
                response = PlainTextResponse(f"the workspace can't be read any more: {reason}", 503)
        for name, value in HEADERS.items():
            response.headers[name] = value
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def _own(self, request: Request) -> bool:
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        return request.headers.get("origin") == self._origin and kind == "application/json"

    @staticmethod
    def _file(name: str, kind: str) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            return Response((PAGE / name).read_bytes(), media_type=kind)

        return answer

    def _document(self, request: Request) -> Response:
        return Response(self._gallery_json, media_type="application/json")

    def _decisions(self, request: Request) -> Response:
        try:
            decisions = read_decisions(self._workspace) or Decisions()
        except UserError as error:
            return PlainTextResponse(str(error), 409)
        mine = decisions.model_dump(mode="json", exclude={"version"})
        for kind, verdicts in mine.items():
            mine[kind] = {key: verdict for key, verdict in verdicts.items() if key in self._gallery}
        return JSONResponse(mine)

    def _maps(self, request: Request) -> Response:
        asked = request.query_params.get("rows", "")
        if not re.fullmatch(r"\d{1,9}(,\d{1,9})*", asked, re.ASCII):
            return PlainTextResponse("rows: numbers joined by commas", 400)
        numbers = [int(word) for word in asked.split(",")]
        if len(numbers) > MAPS_AT_ONCE:
            return PlainTextResponse(f"at most {MAPS_AT_ONCE} rows at once", 400)
        try:
            maps = self._gallery.maps(numbers)
        except IndexError:
            return PlainTextResponse("no such row", 404)
        content = b"".join(each.astype("<f4").tobytes() for each in maps)
        return Response(content, media_type="application/octet-stream")

    def _image(self, request: Request) -> Response:
        side = request.query_params.get("side", str(SIDES[0]))
        if side not in map(str, SIDES):
            return PlainTextResponse(f"side: one of {SIDES}", 400)
        try:
            data = self._gallery.picture(request.path_params["image_id"], int(side))
        except KeyError:
            return PlainTextResponse("no such image", 404)
        except ImageError as error:
            return PlainTextResponse(str(error), 410)
        # The id is a content hash, so a picture never changes.
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400"})

    def _references(self, request: Request) -> Response:
        try:
            decisions = read_decisions(self._workspace) or Decisions()
        except UserError as error:
            return PlainTextResponse(str(error), 409)
        chosen = self._gallery.references(decisions.references)
        return PlainTextResponse(self._patch(chosen) if chosen else "")

    async def _decide(self, request: Request) -> Response:
        body = b""
        try:
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY:
                    return PlainTextResponse("too many decisions at once", 413)
        except ClientDisconnect:  # a part of a request decides nothing
            return PlainTextResponse("the browser left before it had sent all", 400)
        try:
            changes = _CHANGES.validate_json(body)
        except ValidationError as error:
            fault = error.errors()[0]
            return PlainTextResponse(f"{'.'.join(map(str, fault['loc']))}: {in_words(fault)}", 422)
        if any(change.image_id not in self._gallery for change in changes):
            return PlainTextResponse("no such image", 404)
        try:
            await run_in_threadpool(self._save, changes)
        except UserError as error:
            return PlainTextResponse(str(error), 409)
        except OSError as error:
            return PlainTextResponse(f"the review can't be written: {error.strerror or error}", 507)
        return JSONResponse({"saved": len(changes)})

    def _save(self, changes: tuple[Change, ...]) -> None:
        with self._writing:
            save_changes(self._workspace, changes)
