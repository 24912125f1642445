"""Canaries: every private name of Ray that we patch or call is still there, as our files take it to be.

Where a newer Ray fails one of these, what the named file does about Ray's internals must be done anew, or Ray
does it itself by then. Until that is settled, pyproject.toml keeps to older releases.
"""

import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

TRAINER, CLEANER = "cluster/on_ray/trainer.py", "cluster/on_ray/cleaner.py"
BACKEND = "cluster/on_ray/torch_backend.py"
SESSION, JOBS = "cluster/on_ray/session.py", "cluster/jobs/jobs.py"
WAITING = "cluster/on_ray/waiting.py"
GIVING_UP, EXECUTION = "pipelines/tables/giving_up.py", "ray.data._internal.execution"
CALLBACKS = "ray.train.v2._internal.callbacks"
SCALING = "ray.train.v2._internal.execution.scaling_policy"
CLEANER_MODULE = "ray.train.v2._internal.execution.controller.placement_group_cleaner"
DATA_PARALLEL = "ray.train.v2.api.data_parallel_trainer"
NAMES = [
    (TRAINER, DATA_PARALLEL, "DataParallelTrainer._create_default_callbacks", ["self"]),
    (
        TRAINER,
        DATA_PARALLEL,
        "DataParallelTrainer._initialize_and_run_controller",
        ["self", "controller_init_kwargs"],
    ),
    (TRAINER, CALLBACKS, "DatasetsCallback", None),
    (TRAINER, f"{CALLBACKS}.placement_group_callback", "PlacementGroupCleanerCallback", None),
    (TRAINER, f"{CALLBACKS}.placement_group_callback", "PlacementGroupCleaner", None),
    (
        TRAINER,
        f"{CALLBACKS}.placement_group_callback",
        "PlacementGroupCleanerCallback.after_controller_start",
        ["self", "train_run_context"],
    ),
    (
        TRAINER,
        "ray.train.v2._internal.execution.failure_handling",
        "FailurePolicy.make_decision",
        ["self", "training_failed_error"],
    ),
    (TRAINER, "ray.train.v2._internal.execution.failure_handling", "FailureDecision.RAISE", None),
    (TRAINER, SCALING, "FixedScalingPolicy._send_resource_request", ["self"]),
    (TRAINER, SCALING, "FixedScalingPolicy._maybe_send_resource_request", ["self"]),
    (TRAINER, SCALING, "FixedScalingPolicy._cancel_resource_request", ["self"]),
    (BACKEND, "ray.train._internal.utils", "get_address_and_port", []),
    (BACKEND, "ray.train.torch.config", "_set_torch_distributed_env_vars", []),
    (
        BACKEND,
        "ray.train.torch.config",
        "_setup_torch_process_group",
        ["backend", "world_rank", "world_size", "init_method", "timeout_s"],
    ),
    (BACKEND, "ray.train.torch.config", "_shutdown_torch", ["destroy_process_group"]),
    (
        CLEANER,
        CLEANER_MODULE,
        "PlacementGroupCleaner.__init__",
        ["self", "controller_actor_id", "check_interval_s", "get_actor_timeout_s", "stop_timeout"],
    ),
    (CLEANER, CLEANER_MODULE, "PlacementGroupCleaner.register_placement_group", ["self", "placement_group"]),
    (CLEANER, CLEANER_MODULE, "PlacementGroupCleaner.start_monitoring", ["self"]),
    (CLEANER, CLEANER_MODULE, "PlacementGroupCleaner.stop", ["self"]),
    (CLEANER, "ray._private.state", "GlobalState._connect_and_get_accessor", ["self"]),
    (CLEANER, "ray._private.state", "actors", ["actor_id", "job_id", "actor_state_name"]),
    (SESSION, "ray._private.parameter", "RayParams", None),
    (SESSION, "ray._private.services", "start_api_server", None),
    (SESSION, "ray._raylet", "GcsClient", None),
    (
        GIVING_UP,
        f"{EXECUTION}.execution_callback",
        "ExecutionCallback.on_execution_step",
        ["self", "executor"],
    ),
    (GIVING_UP, "ray.data.exceptions", "ExecutionTimeoutError", None),
    (WAITING, "ray.autoscaler.v2.sdk", "get_cluster_status", ["gcs_address", "timeout"]),
    (
        JOBS,
        "ray._private.authentication.authentication_token_setup",
        "maybe_enable_token_auth_if_token_available",
        ["warn_if_disabled"],
    ),
]


def private(ours: str, module: str, name: str) -> Any:
    """A name of Ray's that a file of ours relies on."""
    try:
        thing = importlib.import_module(module)
        for part in name.split("."):
            thing = getattr(thing, part)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"Ray has no {module}.{name} any more ({error}); look at {ours}")
    return thing


@pytest.mark.parametrize(
    ("ours", "module", "name", "arguments"), NAMES, ids=[name for _, _, name, _ in NAMES]
)
def test_ray_still_has(ours: str, module: str, name: str, arguments: list[str] | None) -> None:
    thing = private(ours, module, name)
    if arguments is not None:
        found = list(inspect.signature(thing).parameters)
        assert found == arguments, f"{module}.{name} takes {found}; look at {ours}"


def source(ours: str, module: str, name: str) -> str:
    """The text of a function or class of Ray's."""
    return inspect.getsource(private(ours, module, name))


def test_the_trainers_callbacks_are_the_two_that_we_replace() -> None:
    made = source(TRAINER, DATA_PARALLEL, "DataParallelTrainer._create_default_callbacks")
    for name in ("DatasetsCallback(", "PlacementGroupCleanerCallback("):
        assert name in made, f"DataParallelTrainer no longer makes a {name[:-1]}; look at {TRAINER}"


def test_the_trainer_hands_its_failure_policy_to_the_controller_and_is_else_torchs() -> None:
    fit = source(TRAINER, DATA_PARALLEL, "DataParallelTrainer.fit")
    for policy in ("failure_policy=create_failure_policy(", "scaling_policy=create_scaling_policy("):
        assert policy in fit, f"it goes another way; look at {TRAINER}"
    torch_trainer = private(TRAINER, "ray.train.torch", "TorchTrainer")
    own = {name for name in vars(torch_trainer) if not name.startswith(("__", "_abc_", "_annotated"))}
    local = {"_get_local_controller"}  # for no workers at all, which we train without Ray
    assert own == local, f"TorchTrainer does more: {own}; look at {TRAINER}"


def test_rays_own_backend_does_what_ours_does_and_nothing_else_on_cpus_and_gpus() -> None:
    known = private(BACKEND, "ray.train.torch.config", "TorchConfig")()
    assert (known.backend, known.init_method, known.timeout_s) == (None, "env", 1800), f"look at {BACKEND}"
    backend = private(BACKEND, "ray.train.torch.config", "_TorchBackend")
    assert backend.share_cuda_visible_devices is True, f"look at {BACKEND}"
    start = source(BACKEND, "ray.train.torch.config", "_TorchBackend.on_start")
    for part in ("nccl", "gloo", "MASTER_ADDR", "MASTER_PORT", "_set_torch_distributed_env_vars", "env://"):
        assert part in start, f"a process group is set up without {part}; look at {BACKEND}"
    end = source(BACKEND, "ray.train.torch.config", "_TorchBackend.on_shutdown")
    assert "destroy_process_group=len(worker_group) > 1" in end, f"look at {BACKEND}"


def test_the_callback_takes_the_cleaner_from_its_module() -> None:
    """Where we put ours; its arguments go by keyword, and the controller calls three methods of it."""
    module = f"{CALLBACKS}.placement_group_callback"
    text = source(TRAINER, module, "PlacementGroupCleanerCallback")
    assert "(PlacementGroupCleaner)" in text, f"the cleaner is started otherwise; look at {TRAINER}"
    assert "controller_actor_id=" in text, f"the cleaner is given its settings otherwise; look at {CLEANER}"
    called = set(re.findall(r"self\._cleaner\.(\w+)\.remote", text))
    assert called == {"start_monitoring", "register_placement_group", "stop"}, f"look at {CLEANER}"


def test_an_actors_state_and_a_groups_maker_are_named_as_we_read_them() -> None:
    states = source(CLEANER, "ray._private.state", "GlobalState._gen_actor_info")
    assert '"State"' in states, f"an actor's state is named otherwise; look at {CLEANER}"
    row = private(CLEANER, "ray.core.generated.gcs_pb2", "PlacementGroupTableData")()
    for name in ("placement_group_id", "creator_actor_id", "state"):
        assert hasattr(row, name), f"a group's row has no {name}; look at {CLEANER}"


def test_a_session_is_started_from_parameters_that_name_what_we_set() -> None:
    parameters = inspect.signature(private(SESSION, "ray._private.parameter", "RayParams")).parameters
    for name in ("dashboard_agent_listen_port", "include_log_monitor", "no_monitor"):
        assert name in parameters, f"look at {SESSION}"
    started = source(SESSION, "ray._private.worker", "init")
    assert "ray._private.parameter.RayParams(" in started, f"ray.init goes otherwise; look at {SESSION}"


def test_a_server_that_is_left_out_may_have_no_process_and_is_looked_for_where_we_say_so() -> None:
    server = private(SESSION, "ray._private.services", "start_api_server")
    first = ["include_dashboard", "raise_on_failure", "host", "gcs_address", "cluster_id_hex"]
    assert list(inspect.signature(server).parameters)[:5] == first, f"look at {SESSION}"
    start = source(SESSION, "ray._private.node", "Node.start_api_server")
    for part in ("ray._private.services.start_api_server(", "if process_info is not None:"):
        assert part in start, f"a node starts it otherwise; look at {SESSION}"
    constants = "ray._private.ray_constants"
    place = [private(SESSION, constants, name) for name in ("DASHBOARD_ADDRESS", "KV_NAMESPACE_DASHBOARD")]
    assert place == ["dashboard", b"dashboard"], f"look at {SESSION}"


def test_a_job_is_known_by_its_environment_and_its_raylet() -> None:
    from cluster.on_ray.session import GCS_OPTION, JOB_CONFIG

    variable = private(SESSION, "ray._private.runtime_env.constants", "RAY_JOB_CONFIG_JSON_ENV_VAR")
    assert variable == JOB_CONFIG, f"look at {SESSION}"
    started = source(SESSION, "ray._private.services", "start_raylet")
    assert GCS_OPTION in started, f"a raylet is started with other options; look at {SESSION}"


def test_a_head_without_an_agent_says_so_in_the_words_that_we_wait_for() -> None:
    found = importlib.util.find_spec("ray.dashboard.modules.job.job_head")
    assert found is not None, f"Ray's jobs server lies elsewhere; look at {JOBS}"
    assert found.origin is not None, f"Ray's jobs server lies elsewhere; look at {JOBS}"
    assert "No available agent" in Path(found.origin).read_text("utf-8"), f"look at {JOBS}"
