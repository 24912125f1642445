"""A front in this process over replicas on Ray, until SIGTERM or Ctrl-C."""

import asyncio
import logging
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from cluster.errors import UserError
from cluster.on_ray import start_ray
from cluster.progress import say
from training.serving.access import Access
from training.serving.front import Front
from training.serving.section import ServeSection

if TYPE_CHECKING:
    from training.serving.settings import Settings


# Longer than clients and proxies keep connections: one that the server closes may be in use again just then.
KEEP_ALIVE_S = 75
END_S = 1.0  # seconds in which an ending server still tells clients to come again


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: uvicorn would raise them again before Ray is ended."""
        yield


def run_server(settings: "Settings", access: Access, announce: Callable[[str], None]) -> None:
    """Deploy the replicas on this session's Ray and answer until a signal; what was taken in is answered.

    Args:
        settings: see `Settings`.
        access: who may ask.
        announce: called with the URL once images are answered.

    Raises:
        UserError: the port can't be used, or the replicas can't be deployed.
    """
    with listening(settings.section) as listener:  # a taken port is said before the long start
        start_ray()
        from ray import serve

        from training.serving.deployment import BOARD, detectors_of
        from training.serving.ray_front import RayBackend

        logging.getLogger(serve.__name__).setLevel(logging.ERROR)
        name = f"agssp-{settings.reference}-{secrets.token_hex(3)}"  # another's on the same cluster stays
        serve.start(proxy_location="Disabled")
        try:
            say(f"serve: replicas that start: {settings.section.replicas}")
            detectors, _ = detectors_of(settings)
            try:
                handle = serve.run(detectors, name=name, route_prefix=None)
            except RuntimeError as error:  # Serve's, with its log of the replicas
                raise UserError(_first_reason(error)) from None
            board = serve.get_deployment_handle(BOARD, name)
            front = Front(RayBackend(handle, board), settings.section, access, settings.reference)
            if asyncio.run(answer(front, listener, announce)):
                say("serve: ended; everything taken in was answered.")
            else:
                say("serve: ended at once, as asked; what waited was not answered.")
        finally:
            serve.delete(name)


def _first_reason(error: RuntimeError) -> str:
    """The sentence of a UserError in Serve's text, or its first line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line.partition("UserError:")[2].strip() for line in lines if "UserError:" in line]
    return f"The replicas can't start: {(told or lines or ['no reason is known'])[-1 if told else 0]}"


@contextmanager
def listening(section: ServeSection) -> Iterator[socket.socket]:
    """A socket at the config's address.

    Raises:
        UserError: it can't be used.
    """
    family = socket.AF_INET6 if ":" in section.host else socket.AF_INET
    try:
        listener = socket.create_server((section.host, section.port), family=family, backlog=2048)
    except OSError as error:
        where = f"serve.host={section.host} serve.port={section.port}"
        raise UserError(f"{where} can't be used ({error.strerror}); choose another.") from None
    with listener:
        yield listener


async def answer(front: Front, listener: socket.socket, announce: Callable[[str], None]) -> bool:
    """Answer until SIGTERM or Ctrl-C; a second one ends it at once.

    Args:
        front: the front.
        listener: the socket, listening.
        announce: called with the URL.

    Returns:
        Whether everything taken in was answered.
    """
    config = uvicorn.Config(
        front.app,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()

    def close() -> None:
        server.should_exit = True

    def end() -> None:
        if front.ending:  # the second signal
            server.force_exit = server.should_exit = True
        front.ending = True
        # Closed at once, the socket would cut off clients that are connected and not yet heard.
        loop.call_later(END_S, close)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    host, port = listener.getsockname()[:2]
    announce(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    await server.serve(sockets=[listener])
    return not server.force_exit
