"""A replica's version: begun with, left for the one that its reference comes to mean, or kept."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from cluster.errors import UserError
from cluster.registry import ModelVersion, Registry
from cluster.tracking import Tracker
from training.serving.judging import grounds, objection
from training.serving.messages import Identity
from training.serving.served_model import ServedModel, identity_of

LONGEST_PAUSE = 600.0  # seconds between two tries of a version that can't be loaded
Load = Callable[[ModelVersion], ServedModel]
# Of a machine that lacks memory for a second model; torch's own error of a full GPU is a RuntimeError.
LACKS = (RuntimeError, MemoryError, OSError)


@dataclass(frozen=True)
class Refusal:
    """A version that the reference means and that is not taken.

    Attributes:
        identity: the version.
        reason: half a sentence.
    """

    identity: Identity
    reason: str


@dataclass
class _Pause:
    """When a version that could not be loaded is tried again."""

    identity: Identity
    seconds: float
    until: float


class Follower:
    """Holds the model and decides on its successors; one thread at a time calls `begin` and `look`.

    Args:
        tracker: the tracker whose registry is followed.
        reference: `NAME` (the newest), `NAME@VERSION` or `NAME@ALIAS`.
        metric: figure by which a version is worse.
        poll_s: seconds between two calls of `look`.
        load: makes a version ready; see `ServedModel.load` for what it raises.

    Attributes:
        model: what is served; None before `begin`. Others may read it at any time.
        grounds: why it is.
        refusal: the version that the reference means, where it was refused.
        refusals: how often a version was refused that was not refused before.
        fault: why the registry could not be read at the last look; empty where it could.
    """

    def __init__(self, tracker: Tracker, reference: str, *, metric: str, poll_s: float, load: Load) -> None:
        self._tracker, self._reference, self._metric, self._load = tracker, reference, metric, load
        self._poll_s = poll_s
        self.model: ServedModel | None = None
        self.grounds, self.fault = "", ""
        self.refusal: Refusal | None = None
        self.refusals = 0
        self._pause: _Pause | None = None

    def begin(self, accepted: Identity | None) -> None:
        """Load the first version.

        Args:
            accepted: the version that other replicas serve; None takes what the reference means.

        Raises:
            UserError: no such version, or it can't be served.
        """
        registry = Registry.open(self._tracker)
        version = registry.version(self._reference)
        why = f"{self._reference} means it"
        if accepted is not None and accepted != identity_of(version):
            version, why = registry.version(f"{version.name}@{accepted[0]}"), "the other replicas serve it"
        self.model, self.grounds = self._load(version), why

    def look(self, accepted: Identity | None) -> Identity | None:
        """Ask the registry, and take the version that the reference means unless something speaks against it.

        A version that can't be loaded is tried again after a while, twice as long each time.

        Args:
            accepted: the version that other replicas took last; None where nobody knows.

        Returns:
            The version that was left, where another was taken by this judgement.
        """
        served = self.model
        if served is None:
            raise RuntimeError("begin() comes first")
        try:
            registry = Registry.open(self._tracker)
            meant = registry.version(self._reference)
        except UserError as error:
            self.fault = str(error)
            return None
        self.fault = ""
        if accepted is not None and accepted != served.identity:
            others = _of(registry, meant.name, accepted)
            if others is not None:
                served = self._taken(others, "the other replicas serve it") or served
        if identity_of(meant) == served.identity:
            self.refusal = None
            return None
        # As the registry has it now: it may have been evaluated since.
        now_served = _of(registry, meant.name, served.identity) or served.version
        against = objection(meant, now_served, self._metric)
        if against is not None:
            self._refuse(meant, against)
            return None
        if self._taken(meant, grounds(meant, now_served, self._metric)) is None:
            return None
        self.refusal = None
        return served.identity

    def _taken(self, version: ModelVersion, why: str) -> ServedModel | None:
        """A version loaded and served from now on; None, and a refusal, where that fails."""
        identity, pause = identity_of(version), self._pause
        if pause is not None and pause.identity == identity and time.monotonic() < pause.until:
            return None
        try:
            model = self._load(version)
        except (UserError, *LACKS) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            self._refuse(version, f"it can't be served: {reason}")
            known = pause is not None and pause.identity == identity
            seconds = min(pause.seconds * 2, LONGEST_PAUSE) if pause is not None and known else self._poll_s
            self._pause = _Pause(identity, seconds, time.monotonic() + seconds)
            return None
        self._pause = None
        self.model, self.grounds = model, why
        return model

    def _refuse(self, version: ModelVersion, reason: str) -> None:
        refusal = Refusal(identity_of(version), reason)
        if self.refusal != refusal:
            self.refusals += 1
        self.refusal = refusal


def _of(registry: Registry, name: str, identity: Identity) -> ModelVersion | None:
    """The version of that identity; None where it was deleted."""
    same = (version for version in registry.versions(name) if identity_of(version) == identity)
    return next(same, None)
