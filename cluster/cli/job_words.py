"""What the words of a command tell before it is sent as a job: its workspace, tracking and Ray."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from cluster.cli.projects import Ground, ground_of, project_of
from cluster.config import merged
from cluster.config_paths import as_written
from cluster.errors import UserError
from cluster.jobs import shipping
from cluster.storage import check_uri

# All others read or write the workspace, which every node must reach.
WITHOUT_WORKSPACE = frozenset({"doctor", "recipes", "prompts", "tracking", "submit", "jobs"})
WITHOUT_EITHER = (["train", "encoder"], ["encoder", "train"])
OWN_SETTINGS = frozenset({"study", "forecast"})  # commands with settings that are no project's
GROUND = ("workspace", "ray", "tracking")  # what is asked of a config here


def ground_of_words(words: Sequence[str]) -> Ground:
    """Workspace, tracking and Ray of a command; other settings are checked where they must be a project's.

    A study's settings are no project's, and `KEY=…` after an option may be that option's (`--search`): there
    the job itself tells what is wrong.

    Args:
        words: a command of agssp with its words.

    Raises:
        UserError: a config that is at fault.
    """

    def is_config(word: str) -> bool:
        return word.startswith("recipe:") or (
            Path(word).suffix in shipping.CONFIG_SUFFIXES and Path(word).is_file()
        )

    configs = [word for word in words if not word.startswith("-") and "=" not in word and is_config(word)]
    overrides = [word for word in words if not word.startswith("-") and "=" in word]
    optional = any(one.startswith("-") and "=" in word for one, word in pairwise(words))
    if not optional and OWN_SETTINGS.isdisjoint(words[:1]):
        return ground_of([*configs, *overrides])
    ours = [word for word in overrides if re.split(r"[.=]", word)[0] in GROUND]
    document, _ = merged(configs, ours, {})
    ground: Ground = project_of(None, {key: document[key] for key in GROUND if key in document})
    return ground


def check_workspace(words: Sequence[str], ground: Ground) -> None:
    """A command's workspace must be one that every node reaches.

    Args:
        words: a command of agssp with its words.
        ground: see `ground_of_words`.

    Raises:
        UserError: it is a relative path, or no URI that can be meant.
    """
    workspace = ground.workspace
    check_uri(workspace, "workspace")
    none = not words or words[0] in WITHOUT_WORKSPACE or list(words[:2]) in WITHOUT_EITHER
    registry_alone = list(words[:1]) == ["models"] and ground.tracking.uri is not None
    local = "://" not in workspace and not Path(as_written(workspace)).is_absolute()
    if local and not none and not registry_alone:
        raise UserError(
            f"workspace={as_written(workspace)} is relative, and the cluster's nodes have no such folder; "
            "give a bucket (workspace=s3://BUCKET/FOLDER) or the full path of a disk that all nodes share."
        )
