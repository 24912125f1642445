"""A replica on Ray Serve: holds a detector that follows the registry, and answers in batches."""

import asyncio
import os
from typing import Any

import torch
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from cluster.errors import UserError
from training.serving.answering import Answering
from training.serving.board import BoardActor
from training.serving.following import Follower
from training.serving.messages import Answer, Asked, Fault, Identity, Report, Standing
from training.serving.served_model import LaidOut, ServedModel
from training.serving.settings import Settings


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
            load=lambda version: ServedModel.load(settings.tracker, version, device, section.precision),
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
