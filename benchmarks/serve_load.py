"""A served detector under load: answers a second and their times at once, twice and four times its capacity.

Capacity is what clients that ask again as soon as they are answered get; then images come at a fixed rate,
whatever becomes of those before, as from cameras. Requests that are told to come again (429, 503) are
counted, not repeated.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import numpy as np

from benchmarks.registry import Row
from cluster.errors import UserError

URL, IMAGE, SECONDS = "AGSSP_BENCH_SERVE", "AGSSP_BENCH_IMAGE", "AGSSP_BENCH_SECONDS"
TOKEN = "AGSSP_SERVE_TOKEN"
CLIENTS = 16  # of the measurement of capacity
TIMES = (1, 2, 4)
WARM_S = 5.0


@dataclass
class Tally:
    """What became of requests: seconds of those that were answered, and counts by status (0: no answer)."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def percentile(self, share: float) -> float | None:
        """Milliseconds within which this share was answered; None without answers."""
        return float(np.percentile(self.seconds, share)) * 1000 if self.seconds else None


async def _ask(session: aiohttp.ClientSession, url: str, image: bytes, tally: Tally) -> None:
    began = time.monotonic()
    try:
        async with session.post(f"{url}/detect", data=image) as answer:
            await answer.read()
            status = answer.status
    except aiohttp.ClientError:
        status = 0
    tally.statuses[status] += 1
    if status == 200:
        tally.seconds.append(time.monotonic() - began)


async def _closed(session: aiohttp.ClientSession, url: str, image: bytes, seconds: float) -> Tally:
    """Clients that ask again as soon as they are answered."""
    tally, end = Tally(), time.monotonic() + seconds

    async def client() -> None:
        while time.monotonic() < end:
            await _ask(session, url, image, tally)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return tally


async def _open(session: aiohttp.ClientSession, url: str, image: bytes, seconds: float, rate: float) -> Tally:
    """Images that come at a fixed rate."""
    tally, began, tasks = Tally(), time.monotonic(), []
    for number in range(int(seconds * rate)):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        tasks.append(asyncio.create_task(_ask(session, url, image, tally)))
    await asyncio.gather(*tasks)
    return tally


async def _measured(url: str, image: bytes, seconds: float) -> list[Row]:
    token = os.environ.get(TOKEN)
    headers = {"Content-Type": "image/png"} | ({"Authorization": f"Bearer {token}"} if token else {})
    connector = aiohttp.TCPConnector(limit=0)
    rows = []
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        await _closed(session, url, image, WARM_S)
        capacity = len((await _closed(session, url, image, seconds)).seconds) / seconds
        rows.append(Row(f"capacity: answers/s to {CLIENTS} clients for {seconds:g} s", capacity))
        for times in TIMES:
            tally = await _open(session, url, image, seconds, max(0.1, capacity * times))
            name = f"{times} x capacity"
            rows.append(Row(f"{name}: answers/s", len(tally.seconds) / seconds))
            for share in (50, 95, 99):
                rows.append(Row(f"{name}: p{share}, ms", tally.percentile(share)))
            told = tally.statuses[429] + tally.statuses[503]
            rows.append(Row(f"{name}: told to come again, of all", told / max(1, tally.statuses.total())))
            failed = tally.statuses.total() - told - tally.statuses[200]
            rows.append(Row(f"{name}: lost or failed", failed, "0", failed == 0))
    return rows


def run() -> Iterator[Row]:
    """Measure the server at AGSSP_BENCH_SERVE with the image AGSSP_BENCH_IMAGE.

    Raises:
        UserError: seconds that are no number, or an image that can't be read.
    """
    url, image = os.environ.get(URL), os.environ.get(IMAGE)
    if not url or not image:
        yield Row(f"skipped: set {URL} to a server's URL and {IMAGE} to a file", None)
        return
    try:
        seconds = float(os.environ.get(SECONDS, "60"))
        data = Path(image).read_bytes()
    except (OSError, ValueError) as error:
        raise UserError(f"{SECONDS} or {IMAGE} can't be used: {error}") from None
    yield from asyncio.run(_measured(url.rstrip("/"), data, seconds))
