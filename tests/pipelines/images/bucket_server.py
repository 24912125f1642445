"""As much of the S3 protocol as reading a bucket takes: a folder served on a port of this machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@contextmanager
def serve_bucket(folder: Path) -> Iterator[str]:
    """Serve every file below a folder as an object of the bucket `bucket`; the endpoint's URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(self.found())

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            self.answer(self.listed(query.get("prefix", [""])[0]) if "list-type" in query else self.found())

        def found(self) -> bytes | None:
            file = folder / unquote(urlsplit(self.path).path).removeprefix("/bucket").lstrip("/")
            return file.read_bytes() if file.is_file() else None

        def listed(self, prefix: str) -> bytes:
            keys = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
            contents = "".join(
                f"<Contents><Key>{escape(key)}</Key><Size>{(folder / key).stat().st_size}</Size>"
                "<LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>"
                for key in keys
                if key.startswith(prefix)
            )
            return (
                f"<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
            ).encode()

        def answer(self, body: bytes | None) -> None:
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
            self.end_headers()
            if self.command == "GET" and body:
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
