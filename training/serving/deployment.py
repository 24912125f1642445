"""The served detector on Ray Serve: replicas that hold it, their board, and the front as a deployment."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from ray import serve
from ray.exceptions import RayActorError
from ray.serve import Application
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from cluster.errors import UserError
from cluster.tracking import Tracker
from training.serving.access import Access
from training.serving.answering import Answering
from training.serving.board import Board
from training.serving.following import Follower
from training.serving.front import Front, NoAnswerError, forget_after
from training.serving.messages import Answer, Asked, Fault, Identity, Report, Standing
from training.serving.section import ServeSection
from training.serving.served_model import LaidOut, ServedModel

DETECTORS, BOARD, FRONT = "Detectors", "Board", "Front"
TRIES = 4  # of an image: one that crashes a decoder must not end all replicas again and again
BOARD_S = 5.0  # seconds that the board may take to answer
HEALTH_S = 2.0  # seconds between two looks at whether a replica lives


@dataclass(frozen=True)
class Settings:
    """What is served.

    Attributes:
        tracker: the tracker whose registry is followed; every replica reaches it.
        reference: `NAME`, `NAME@VERSION` or `NAME@ALIAS`.
        section: the config.
    """

    tracker: Tracker
    reference: str
    section: ServeSection


class BoardActor:
    """See `Board`.

    Args:
        section: the config.
    """

    def __init__(self, section: ServeSection) -> None:
        self._board = Board(forget_after(section))

    async def report(self, report: Report) -> Identity:
        """See `Board.report`."""
        return self._board.report(report)

    async def accepted(self) -> Identity | None:
        """See `Board`."""
        return self._board.accepted

    async def standings(self) -> list[Standing]:
        """See `Board.standings`."""
        return self._board.standings()


class DetectorActor:
    """Holds a detector that follows the registry; answers images in batches.

    Args:
        board: handle of the board.
        settings: what is served.
    """

    def __init__(self, board: DeploymentHandle[BoardActor], settings: Settings) -> None:
        section = settings.section
        torch.set_num_threads(max(1, int(section.cpus_per_replica)))
        if section.gpus_per_replica and not torch.cuda.is_available():
            raise UserError("serve.gpus_per_replica asks for a GPU that torch doesn't find on this machine.")
        device = torch.device("cuda" if section.gpus_per_replica else "cpu")
        self._board, self._section = board, section
        self._name = serve.get_replica_context().replica_id.unique_id
        self._answering = Answering(section)
        self._follower = Follower(
            settings.tracker,
            settings.reference,
            metric=section.metric,
            poll_s=section.poll_s,
            load=lambda version: ServedModel.load(settings.tracker, version, device),
        )
        self._accepted: Identity | None = None
        self._following: asyncio.Task[None] | None = None

        @serve.batch(max_batch_size=section.batch_size, batch_wait_timeout_s=section.batch_wait_ms / 1000)
        async def batched(batch: list[tuple[ServedModel, LaidOut]]) -> list[Answer | Fault]:
            return await asyncio.to_thread(self._answering.detected, batch)

        self._batched = batched

    async def reconfigure(self, config: dict[str, Any]) -> None:
        """Serve awaits it once, before the replica is given work: the first version is loaded.

        Raises:
            UserError: see `Follower.begin`.
        """
        self._accepted = await self._board.accepted.remote()
        await asyncio.to_thread(self._follower.begin, self._accepted)
        await self._report(None)
        self._following = asyncio.create_task(self._follow())

    def check_health(self) -> None:
        """Serve replaces a replica whose follower has ended."""
        if self._following is not None and self._following.done():
            self._following.result()
            raise RuntimeError("the follower has ended")

    async def answer(self, asked: Asked) -> Answer | Fault:
        """The boxes of an image, by the version that was served when it came."""
        model = self._follower.model
        assert model is not None
        laid_out = await asyncio.to_thread(self._answering.laid_out, model, asked)
        if isinstance(laid_out, Fault):
            return laid_out
        told: Answer | Fault = await self._batched((model, laid_out))
        return told

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._section.poll_s)
            left = await asyncio.to_thread(self._follower.look, self._accepted)
            await self._report(left)

    async def _report(self, left: Identity | None) -> None:
        follower, work = self._follower, self._answering
        model, refusal = follower.model, follower.refusal
        assert model is not None
        standing = Standing(
            replica=self._name,
            pid=os.getpid(),
            model=model.version.name,
            identity=model.identity,
            grounds=follower.grounds,
            refused=refusal.identity[0] if refusal else None,
            reason=follower.fault or (refusal.reason if refusal else ""),
            refusals=follower.refusals,
            registry=not follower.fault,
            images=work.images,
            batches=work.batches,
            seconds=work.seconds,
        )
        try:
            self._accepted = await self._board.report.remote(Report(standing, left))
        except (RayActorError, RayServeException):
            return  # Serve brings another board, which the next report tells all


class RayBackend:
    """See `Backend`: images go to whichever replica is free, and to another where that is lost.

    Args:
        detectors, board: handles of the deployments.
    """

    def __init__(
        self, detectors: DeploymentHandle[DetectorActor], board: DeploymentHandle[BoardActor]
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
                response.cancel()
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
        detectors: DeploymentHandle[DetectorActor],
        board: DeploymentHandle[BoardActor],
        settings: Settings,
        access: Access,
    ) -> None:
        backend = RayBackend(detectors, board)
        self._front = Front(backend, settings.section, access, settings.reference)

    def __serve_build_asgi_app__(self) -> Any:
        """Serve's name for what gives the application."""
        return self._front.app


def detectors_of(settings: Settings) -> tuple[Application, Application]:
    """The deployments of replicas and board, the second a part of the first."""
    section = settings.section
    light: dict[str, Any] = {"ray_actor_options": {"num_cpus": 0}}
    board = serve.deployment(BoardActor, name=BOARD, max_ongoing_requests=1000, **light).bind(section)
    detectors = serve.deployment(
        DetectorActor,
        name=DETECTORS,
        num_replicas=section.replicas,
        user_config={},  # without one `reconfigure` is not called
        max_ongoing_requests=2 * section.batch_size,  # the next batch is laid out while one is looked at
        max_queued_requests=-1,  # the front counts what waits
        graceful_shutdown_timeout_s=section.timeout_s,
        health_check_period_s=HEALTH_S,
        health_check_timeout_s=section.timeout_s,
        ray_actor_options={"num_cpus": section.cpus_per_replica, "num_gpus": section.gpus_per_replica},
    ).bind(board, settings)
    return detectors, board


def application_of(settings: Settings, access: Access) -> Application:
    """All of it with a front on Serve's own proxies."""
    section = settings.section
    detectors, board = detectors_of(settings)
    front = serve.deployment(
        serve.ingress()(FrontActor),
        name=FRONT,
        max_ongoing_requests=section.queue + 1000,  # the front itself tells who must come again
        graceful_shutdown_timeout_s=2 * section.timeout_s,
        ray_actor_options={"num_cpus": 0},
    )
    return front.bind(detectors, board, settings, access)
