"""What the replicas said last, and one line for each change of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from cluster.progress import say
from training.serving.messages import Standing

PERIOD_S = 1.0


class Watch:
    """Asks for the standings again and again.

    Args:
        ask: gives them; an OSError or TimeoutError of it says that they can't be had now.
        forget_s: seconds after which the last ones say nothing any more.
    """

    def __init__(self, ask: Callable[[], Awaitable[list[Standing]]], forget_s: float) -> None:
        self._ask, self._forget_s = ask, forget_s
        self._standings: list[Standing] = []
        self._heard = -float("inf")
        self._told: dict[str, list[str]] = {}

    def standings(self) -> Sequence[Standing]:
        """Of the replicas heard of lately, by name."""
        return self._standings if time.monotonic() - self._heard < self._forget_s else []

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.once()
            await asyncio.sleep(PERIOD_S)

    async def once(self) -> None:
        """Ask, and tell what has changed."""
        try:
            standings = await self._ask()
        except (OSError, TimeoutError):
            return
        self._standings = sorted(standings, key=lambda standing: standing.replica)
        self._heard = time.monotonic()
        known = {line for lines in self._told.values() for line in lines}
        self._told = {one.replica: _lines(one) for one in self._standings}
        # Replicas say the same, as a rule: each line once.
        for line in dict.fromkeys(line for lines in self._told.values() for line in lines):
            if line not in known:
                say(f"serve: {line}")


def _lines(one: Standing) -> list[str]:
    lines = [f"{one.model}@{one.version} answers: {one.grounds}."]
    if one.refused is not None:
        lines.append(f"{one.model}@{one.refused} is refused: {one.reason}")
    if not one.registry:
        lines.append(f"the registry can't be read, {one.model}@{one.version} stays: {one.reason}")
    return lines
