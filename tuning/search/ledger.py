"""The trials of a search, each in a small file; an interrupted search goes on from them. No Ray here."""

import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Literal

import optuna
from pydantic import Field, TypeAdapter

from cluster.errors import UserError
from cluster.storage import Storage
from tuning.space import MAX_GRID, Dimension, grid, size_of

Status = Literal["running", "finished", "stopped", "failed", "invalid"]
Number = Annotated[float, Field(allow_inf_nan=False)]
ASKS = 50  # of Optuna, for a combination that was not tried
STUDY_FILE = "study.json"
TRIAL_FILE = re.compile(r"(\d{5,9})\.json")  # whatever else lies there, copies too, is no trial


@dataclass(frozen=True)
class TrialRecord:
    """One trial.

    Attributes:
        number: place in the order of proposals, from 0.
        values: tried values by config key.
        status: `running` (or interrupted), `finished`, `stopped` early by the scheduler; `failed`, where what
            it ran on was at fault (a process, a folder, a server), or what it was given; `invalid`, where its
            values are: they make no config, or a training without a figure.
        value: value of the metric; None without one.
        epochs: last epoch that was reported.
        seconds: duration of the last attempt.
        run_id: MLflow's id of the trial's run.
        reason: reason of a failure.
    """

    number: int
    values: dict[str, Any]
    status: Status = "running"
    value: Number | None = None
    epochs: int = 0
    seconds: Number = 0.0
    run_id: str | None = None
    reason: str | None = None

    @property
    def over(self) -> bool:
        """Whether it needn't be run again."""
        return self.status in ("finished", "stopped", "invalid")


_RECORD = TypeAdapter(TrialRecord)


@dataclass(frozen=True)
class Ledger:
    """The records under a search's directory."""

    directory: Storage

    def begin(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Open the search; with the same question it goes on from the trials so far.

        Args:
            question: everything that decides a trial's value (space, metric, settings); JSON-able.

        Returns:
            The stored study: `question`, and whatever else was stored beside it.

        Raises:
            UserError: the search was begun with another question, or its file is damaged.
        """
        if not self.directory.exists(STUDY_FILE):
            self.directory.create()
            self.keep({"question": dict(question)})
        try:
            study: dict[str, Any] = self.directory.read_json(STUDY_FILE)
            asked = dict(study["question"])
            float(study.get("wall_seconds", 0.0))
        except (ValueError, RecursionError, TypeError, KeyError):
            raise UserError(
                f"{self.directory.uri}/{STUDY_FILE} is damaged; give --name another name."
            ) from None
        for name, value in question.items():
            if (before := asked.get(name)) != value:
                key, old, new = _difference(name, before, value)
                raise UserError(
                    f"The search {self.directory.uri} was begun with another {key} "
                    f"({_short(old)}, now {_short(new)}); give --name another name, or the same again."
                )
        return study

    def keep(self, study: Mapping[str, Any]) -> None:
        """Store the study's own file."""
        self.directory.write_json(STUDY_FILE, dict(study))

    def write(self, record: TrialRecord) -> None:
        """Store a trial in the place of its earlier record."""
        self.directory.write_json(f"trials/{record.number:05d}.json", asdict(record))

    def read(self, number: int) -> TrialRecord:
        """A stored trial.

        Raises:
            UserError: its file is damaged.
        """
        try:
            record = _RECORD.validate_python(self.directory.read_json(f"trials/{number:05d}.json"))
        except (ValueError, RecursionError):  # pydantic's errors are ValueErrors
            raise self.damaged(number) from None
        if record.number != number:
            raise self.damaged(number)
        return record

    def damaged(self, number: int) -> UserError:
        """The error of a trial whose file can't be right."""
        return UserError(
            f"{self.directory.uri}/trials/{number:05d}.json is damaged; delete it, and the trial is run "
            "again, or give --name another name."
        )

    def records(self) -> list[TrialRecord]:
        """All stored trials by number."""
        matches = map(TRIAL_FILE.fullmatch, self.directory.at("trials").children())
        return [self.read(number) for number in sorted(int(match[1]) for match in matches if match)]


def _difference(name: str, old: Any, new: Any) -> tuple[str, Any, Any]:
    """What differs first of two unequal values: its name (a config key, of `settings`), and both values."""
    path: list[str] = []
    while isinstance(old, Mapping) and isinstance(new, Mapping):
        key = next(
            key for key in (*new, *old) if old.get(key) != new.get(key) or (key in old) != (key in new)
        )
        path.append(str(key))
        old, new = old.get(key), new.get(key)
    return ".".join(path) or name, old, new  # of settings the key as a config has it


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _key(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)


@dataclass
class Proposals:
    """Which trial comes next: interrupted ones first, then new ones, by Optuna (TPE) or a grid.

    Args:
        ledger: records of the search.
        space: searched keys.
        trials: number of trials in all.
        seed: seed of the sampler.
        exhaustive: whether every combination is tried instead of Optuna's choice.
    """

    ledger: Ledger
    space: Sequence[Dimension]
    trials: int
    seed: int
    exhaustive: bool = False
    _asked: dict[int, optuna.trial.Trial] = field(default_factory=dict)
    _free: int = 0

    def __post_init__(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        known = self.ledger.records()
        self.pending = [record for record in known if not record.over]
        self._taken = {record.number for record in known}
        # After an interruption the seed must differ, or the sampler would propose its first trials again.
        sampler = optuna.samplers.TPESampler(
            seed=self.seed + len(known), n_startup_trials=max(4, self.trials // 5), constant_liar=True
        )
        self.study = optuna.create_study(direction="maximize", sampler=sampler)
        for record in known:
            if record.over and record.value is not None:
                self.study.add_trial(self._frozen(record))
        self.points = list(grid(self.space)) if self.exhaustive else []
        if self.exhaustive:
            self.trials = len(self.points)
        self._tried = {_key(record.values) for record in known}
        size = size_of(self.space)
        if size is not None and not self.exhaustive:  # a small space is tried whole, and nothing in it twice
            self.trials = min(self.trials, size + len(known) - len(self._tried))

    def _frozen(self, record: TrialRecord) -> optuna.trial.FrozenTrial:
        try:
            parameters = {d.key: d.parameter(record.values[d.key]) for d in self.space}
        except (ValueError, KeyError):  # the question is the same, so its values were in the space
            raise self.ledger.damaged(record.number) from None
        return optuna.trial.create_trial(
            params=parameters,
            distributions={d.key: d.distribution() for d in self.space},
            value=record.value,
        )

    @property
    def left(self) -> int:
        """Trials still to be run."""
        return len(self.pending) + max(0, self.trials - len(self._taken))

    def next(self) -> TrialRecord | None:
        """The next trial, noted in the ledger; None when all are proposed."""
        if self.pending:
            record = replace(self.pending.pop(0), status="running", reason=None)
        elif len(self._taken) >= self.trials:
            return None
        else:  # the first number that is free: a file may have been deleted amid the others
            while self._free in self._taken:
                self._free += 1
            number = self._free
            record = TrialRecord(number, self._values(number))
            self._taken.add(number)
            self._tried.add(_key(record.values))
        self.ledger.write(record)
        return record

    def _values(self, number: int) -> dict[str, Any]:
        if self.exhaustive:
            return self.points[number]
        for _ in range(ASKS):
            asked = self.study.ask({d.key: d.distribution() for d in self.space})
            values = {d.key: d.value(asked.params[d.key]) for d in self.space}
            if _key(values) not in self._tried:
                break
            self.study.tell(asked, state=optuna.trial.TrialState.FAIL)
        else:  # nearly all of a small space is tried
            return self._untried(number) or values
        self._asked[number] = asked
        return values

    def _untried(self, number: int) -> dict[str, Any] | None:
        """A combination that was not tried yet, drawn by the seed; None of a space that can't be counted."""
        size = size_of(self.space)
        if size is None or size > MAX_GRID:
            return None
        left = [values for values in grid(self.space) if _key(values) not in self._tried]
        return random.Random(f"{self.seed} {number}").choice(left)

    def ended(self, record: TrialRecord) -> None:
        """Learn from a trial that is over."""
        asked = self._asked.pop(record.number, None)
        if asked is not None and record.value is not None:
            self.study.tell(asked, record.value)
        elif asked is not None:
            self.study.tell(asked, state=optuna.trial.TrialState.FAIL)
        elif record.value is not None:
            self.study.add_trial(self._frozen(record))


@dataclass(frozen=True)
class Budget:
    """When no new trial is started; None is no limit.

    Attributes:
        hours: limit of wall time, over all sessions.
        gpu_hours: limit of the trials' time times the GPUs of each.
    """

    hours: float | None = None
    gpu_hours: float | None = None

    def spent(self, wall_seconds: float, records: Iterable[TrialRecord], gpus: float) -> str | None:
        """The limit that is reached, in words; None while there is budget."""
        if self.hours is not None and wall_seconds >= self.hours * 3600:
            return f"{self.hours:g} hours"
        used = sum(record.seconds for record in records) * gpus / 3600
        if self.gpu_hours is not None and used >= self.gpu_hours:
            return f"{self.gpu_hours:g} GPU-hours"
        return None


def alike_sentence(records: Iterable[TrialRecord]) -> str | None:
    """What must be said where all trials end with one figure, so that the best is none; None elsewhere."""
    values = [record.value for record in records if record.value is not None]
    if len(values) < 2 or max(values) > min(values):
        return None
    nothing = "" if values[0] else " Nothing is found: train longer, or from another start."
    return f"All {len(values)} trials end at {values[0]:.4f}, so none of them is better.{nothing}"


def best_of(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The finished trial with the greatest value, the first of equals; a stopped one where none finished."""
    valued = [record for record in records if record.value is not None]
    finished = [record for record in valued if record.status == "finished"]
    candidates = finished or [record for record in valued if record.status == "stopped"]
    return max(candidates, key=lambda record: (record.value, -record.number), default=None)
