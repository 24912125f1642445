"""What the commands of a project share: its config, an artifact as JSON, a stage's command."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cluster.cli.command import out, render_table, run_command
from cluster.config import load_words

if TYPE_CHECKING:  # the stages' tables and files, which a command's help need not load
    from cluster.stages import Artifact


def project_of(words: list[str] | None, base: Mapping[str, Any] | None = None) -> Any:
    """The project that a command line describes.

    Args:
        words: configs (paths or `recipe:NAME`; a later one wins) and `section.key=value` overrides.
        base: values under everything else.

    Raises:
        UserError: a config that is at fault.
    """
    from training.project import Project

    return load_words(Project, words, base or {})


def project_weights(project: Any) -> Iterable[Any]:
    """The doctor's findings about a project's weights."""
    from training.cli.weight_probes import weight_probes

    return weight_probes(project)


def artifact_json(artifact: "Artifact") -> dict[str, Any]:
    """An artifact as commands report it."""
    return {
        "stage": artifact.stage,
        "directory": artifact.directory.uri,
        "fingerprint": artifact.fingerprint,
        "reused": artifact.reused,
        "seconds": artifact.record["seconds"],
        "results": artifact.results,
    }


def render_stage(result: Mapping[str, Any]) -> None:
    """A table of the figures, then where the stage lies; nested records are in its `stage.json` alone."""
    figures = {
        name: value
        for name, value in result["results"].items()
        if not (isinstance(value, Mapping) and any(isinstance(one, Mapping) for one in value.values()))
    }
    render_table({**{name: result[name] for name in ("stage", "reused", "seconds")}, **figures})
    out.print(f"Result: {result['directory']}", markup=False, soft_wrap=True)


def stage_command(
    name: str, words: list[str] | None, json_mode: bool, make: "Callable[[Any], Artifact]"
) -> None:
    """Run the pipeline up to one artifact and report it."""

    def body() -> Mapping[str, Any]:
        from training.opening import open_pipeline

        with open_pipeline(project_of(words), name) as pipeline:
            return artifact_json(make(pipeline))

    run_command(body, json_mode=json_mode, render=render_stage)
