"""A registered detector served over HTTP: by the command in front of it, or by a cluster that stays."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import UserError
from training.inputs import open_tracker
from training.project import Project, read_project

if TYPE_CHECKING:
    from ray.serve import Application

    from training.serving import Settings


def serve_model(project: Project, reference: str, announce: Callable[[Mapping[str, Any]], None]) -> None:
    """Serve a registered detector until SIGTERM or Ctrl-C.

    Args:
        project: the config.
        reference: `NAME` (the newest version), `NAME@VERSION` or `NAME@ALIAS`; what it comes to mean later is
            followed.
        announce: called once images are answered, with `url`, `model`, and the `token` that was made, if any.

    Raises:
        UserError: no such version, one that can't be served, a token or port that can't be used.
    """
    from cluster.on_ray import ray_session
    from training.serving import access_of, run_server

    refuse_missing_roots(project)
    access = access_of(project.serve)
    settings, model = checked(project, reference)

    def ready(url: str) -> None:
        announce({"url": url, "model": model, **({"token": access.token} if access.made else {})})

    with ray_session(project.ray):
        run_server(settings, access, ready)


def refuse_missing_roots(project: Project) -> None:
    """Refuse folders of this machine that aren't there; those of a cluster's machines can't be seen here.

    Raises:
        UserError: a root is no folder.
    """
    if project.ray.address:
        return
    for root in project.serve.roots:
        if "://" not in root and not Path(root).is_dir():
            raise UserError(f"serve.roots names {root}, which is no folder here; give one that is, or a URI.")


def checked(project: Project, reference: str) -> tuple["Settings", str]:
    """What is to be served, tried in this process: a failed deployment takes minutes to say so.

    Returns:
        The settings, and `NAME@VERSION` of what the reference means now.

    Raises:
        UserError: no such version, or one that can't be served.
    """
    from cluster.registry import Registry

    tracker = open_tracker(project)
    version = Registry.open(tracker).version(reference)
    import torch  # after the answer about the user's words

    from training.serving import ServedModel, Settings

    ServedModel.load(tracker, version, torch.device("cpu"), project.serve.precision)
    return Settings(tracker, reference, project.serve), version.reference


def application(args: dict[str, Any]) -> "Application":
    """What Ray Serve's own config names as `import_path: training.served:application`.

    Args:
        args: `model`, the reference; `words`, the words of a command line: configs and `section.key=value`.

    Raises:
        UserError: other arguments, a config at fault, or no token.
    """
    from training.serving import TOKEN, Settings, access_of, application_of

    model, words = args.get("model"), args.get("words", [])
    if not isinstance(model, str) or not isinstance(words, list) or args.keys() - {"model", "words"}:
        raise UserError("The application's args are model, a text, and words, a list of texts.")
    project = read_project([str(word) for word in words])
    access = access_of(project.serve)
    if access.token is None or access.made:  # Serve's proxies listen wherever their own config says
        raise UserError(f"Set {TOKEN} in the environment of every node: a cluster's detector needs a token.")
    return application_of(Settings(open_tracker(project), model, project.serve), access)
