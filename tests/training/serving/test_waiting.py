"""How many images are taken in."""

import time

import pytest

from training.serving.uploads import RefusedRequest
from training.serving.waiting import Waiting


def test_no_more_than_the_limit_of_images() -> None:
    waiting = Waiting(4, 100, timeout_s=60)
    with waiting.place(1) as first:
        first.hold(3)
        with waiting.place(1):
            with pytest.raises(RefusedRequest) as refusal, waiting.place(1):
                raise AssertionError
            assert refusal.value.status == 429
            assert refusal.value.wait == 1
        with waiting.place(1) as second, pytest.raises(RefusedRequest):
            second.hold(2)
        assert waiting.images == 3
    assert (waiting.images, waiting.megabytes) == (0, 0)


def test_no_more_than_the_limit_of_memory() -> None:
    waiting = Waiting(100, 10, timeout_s=60)
    with waiting.place(6), pytest.raises(RefusedRequest), waiting.place(5):
        raise AssertionError
    with waiting.place(10):
        pass


def test_a_failed_request_leaves_its_place() -> None:
    waiting = Waiting(1, 10, timeout_s=60)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), waiting.place(1), waiting.timed():
            raise ZeroDivisionError
    assert waiting.images == 0


def test_no_more_than_can_be_answered_in_time() -> None:
    waiting = Waiting(1000, 1000, timeout_s=0.2)
    with waiting.place(1), waiting.timed():
        time.sleep(0.06)
    with waiting.place(0) as place:  # one alone is always taken in
        place.hold(2)
        with pytest.raises(RefusedRequest), waiting.place(0):
            raise AssertionError


def test_who_is_sent_away_comes_back_when_half_is_done() -> None:
    waiting = Waiting(100, 100, timeout_s=1000)
    with waiting.place(1), waiting.timed():
        time.sleep(0.1)
    with waiting.place(1) as place:
        place.hold(100)
        assert 5 <= waiting.seconds <= 15
