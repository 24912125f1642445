"""The version that replicas agree on."""

from training.serving.board import Board
from training.serving.messages import Identity, Report, Standing

ONE, TWO, THREE = (1, "a"), (2, "b"), (3, "c")


def report(board: Board, replica: str, identity: Identity, left: Identity | None = None) -> Identity:
    return board.report(Report(Standing(replica, 1, "line", identity), left))


def test_the_first_says_what_is_served_and_others_follow() -> None:
    board = Board(forget_s=60)
    assert report(board, "x", ONE) == ONE
    assert report(board, "y", TWO) == ONE
    assert report(board, "x", TWO, left=ONE) == TWO
    assert report(board, "y", ONE) == TWO


def test_who_is_slow_calls_nobody_back() -> None:
    board = Board(forget_s=60)
    report(board, "x", ONE)
    report(board, "x", TWO, left=ONE)
    report(board, "x", THREE, left=TWO)
    assert report(board, "y", TWO, left=ONE) == THREE


def test_a_new_board_learns_from_the_living() -> None:
    board = Board(forget_s=60)
    assert report(board, "x", THREE) == THREE
    assert board.accepted == THREE


def test_who_says_no_more_is_forgotten() -> None:
    board = Board(forget_s=0)
    report(board, "x", ONE)
    assert board.standings() == []
    board = Board(forget_s=60)
    report(board, "x", ONE)
    assert [one.replica for one in board.standings()] == ["x"]
