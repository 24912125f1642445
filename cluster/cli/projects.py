"""How the words of a command line become a project's config, which stands two floors up: the roof says it."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from cluster.on_ray import RaySection
from cluster.tracking import TrackingSection

Reader = Callable[[list[str] | None, Mapping[str, Any] | None], Any]


class Ground(Protocol):
    """What the ground asks of a project's config."""

    @property
    def workspace(self) -> str:
        """Directory or URI of all artifacts."""

    @property
    def tracking(self) -> TrackingSection:
        """Where runs are recorded."""

    @property
    def ray(self) -> RaySection:
        """Where Ray runs."""


def _no_reader(words: list[str] | None, base: Mapping[str, Any] | None) -> Any:
    raise RuntimeError("commands read projects only below the roof, agssp.py")


_readers: list[Reader] = [_no_reader]


def read_by(reader: Reader) -> None:
    """Let all commands of this process read projects with `reader`."""
    _readers[:] = [reader]


def project_of(words: list[str] | None, base: Mapping[str, Any] | None = None) -> Any:
    """The project that a command line describes.

    Args:
        words: configs (paths or `recipe:NAME`; a later one wins) and `section.key=value` overrides.
        base: values under everything else.

    Raises:
        UserError: a config that is at fault.
    """
    return _readers[0](words, base)


def ground_of(words: list[str] | None) -> Ground:
    """The same, for commands that need only workspace, tracking and Ray."""
    ground: Ground = project_of(words)
    return ground
