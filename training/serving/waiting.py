"""How many images may wait, and when a client that was sent away should come again."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from training.serving.uploads import RefusedRequest

WEIGHT = 0.1  # of the newest request in the mean of how long images take
SHARE = 0.8  # of the time limit that a request may be expected to wait
LONGEST_WAIT = 60  # seconds


class Place:
    """A request's place among those that wait."""

    def __init__(self, waiting: "Waiting", megabytes: float) -> None:
        self._waiting, self.images, self.megabytes = waiting, 1, megabytes

    def hold(self, images: int) -> None:
        """Take the request for so many images.

        Raises:
            RefusedRequest: 429, they are too many now.
        """
        self._waiting.check(images - self.images, 0)
        self._waiting.images += images - self.images
        self.images = images


class Waiting:
    """The images that were taken in and are not answered, in one event loop.

    Args:
        most_images: most of them.
        most_mb: most MiB of their requests.
        timeout_s: seconds in which a request must be answered: no more are taken in than can be, at the pace
            of the last ones.

    Attributes:
        images: how many there are.
        megabytes: MiB of their requests.
    """

    def __init__(self, most_images: int, most_mb: float, timeout_s: float) -> None:
        self._most_images, self._most_mb, self._timeout_s = most_images, most_mb, timeout_s
        self.images, self.megabytes = 0, 0.0
        self._pace = 0.0  # seconds an image, all replicas together

    @contextmanager
    def place(self, megabytes: float) -> Iterator[Place]:
        """A request's place for as long as the block takes.

        Raises:
            RefusedRequest: 429, there is none.
        """
        self.check(1, megabytes)
        place = Place(self, megabytes)
        self.images, self.megabytes = self.images + 1, self.megabytes + megabytes
        try:
            yield place
        finally:
            self.images, self.megabytes = self.images - place.images, self.megabytes - megabytes

    def check(self, images: int, megabytes: float) -> None:
        """Refuse what does not fit any more.

        Raises:
            RefusedRequest: 429.
        """
        held = self.images + images
        late = held * self._pace > self._timeout_s * SHARE and self.images > 0
        if held > self._most_images or self.megabytes + megabytes > self._most_mb or late:
            raise RefusedRequest(429, "Too many images wait; send this again later.", self.seconds)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """The block is the answering of a request, which waited for all that came before it."""
        ahead, began = max(1, self.images), time.monotonic()
        yield
        pace = (time.monotonic() - began) / ahead
        self._pace = pace if self._pace == 0 else self._pace + WEIGHT * (pace - self._pace)

    @property
    def seconds(self) -> int:
        """After how many seconds half of what waits will be answered."""
        return min(LONGEST_WAIT, max(1, math.ceil(self.images * self._pace / 2)))
