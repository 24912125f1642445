"""The front's side of Ray Serve: images go to replicas, and to others where those are lost. No torch here."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ray.exceptions import RayActorError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from training.serving.access import Access
from training.serving.board import BoardActor
from training.serving.front import Front, NoAnswerError
from training.serving.messages import Answer, Asked, Fault, Standing
from training.serving.settings import Settings

if TYPE_CHECKING:
    from training.serving.replica import DetectorActor

TRIES = 4  # of an image: one that crashes a decoder must not end all replicas again and again
BOARD_S = 5.0  # seconds that the board may take to answer


class RayBackend:
    """See `Backend`: images go to whichever replica is free, and to another where that is lost.

    Args:
        detectors, board: handles of the deployments.
    """

    def __init__(
        self, detectors: "DeploymentHandle[DetectorActor]", board: DeploymentHandle[BoardActor]
    ) -> None:
        self._detectors, self._board = detectors, board

    async def answer(self, asked: Asked, lost: Callable[[], None]) -> Answer | Fault:
        """See `Backend.answer`."""
        for _ in range(TRIES):
            response = self._detectors.answer.remote(asked)
            try:
                told: Answer | Fault = await response
                return told
            except RayActorError:  # looking twice changes nothing
                lost()
            except asyncio.CancelledError:
                response.cancel()  # type: ignore[no-untyped-call]
                raise
        raise NoAnswerError

    async def standings(self) -> list[Standing]:
        """See `Backend.standings`."""
        try:
            async with asyncio.timeout(BOARD_S):
                told: list[Standing] = await self._board.standings.remote()
                return told
        except (RayActorError, RayServeException) as error:
            raise OSError(str(error)) from None


class FrontActor:
    """The front on Serve's own proxies, for a cluster that goes on without the command.

    Args:
        detectors, board: handles of the deployments.
        settings: what is served.
        access: who may ask.
    """

    def __init__(
        self,
        detectors: "DeploymentHandle[DetectorActor]",
        board: DeploymentHandle[BoardActor],
        settings: Settings,
        access: Access,
    ) -> None:
        backend = RayBackend(detectors, board)
        self._front = Front(backend, settings.section, access, settings.reference)

    def __serve_build_asgi_app__(self) -> Any:
        """Serve's name for what gives the application."""
        return self._front.app
