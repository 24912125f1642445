"""A team's server on a real PostgreSQL: logins, concurrent stages, look-ups, an outage, no secret left."""

import json
import math
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy

from cluster.errors import UserError
from cluster.registry.promotion import promote
from cluster.registry.ranking import ranked
from cluster.registry.reader import registry_reader
from cluster.registry.registry import Registry, point_alias
from cluster.stages.site import Site
from cluster.stages.stage import Workbench, ensure
from cluster.storage.storage import Storage
from cluster.tracking.losses import take_losses
from cluster.tracking.places import with_driver
from cluster.tracking.run import client_of
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from tests.cluster.registry.registered_models import DATASET, judged, registered, weights_run
from tests.postgres import Postgres, free_port, postgres
from tests.team_server import TeamServer

pytestmark = pytest.mark.slow

AWS_KEY = "AKIASECRETSECRET1234"
AWS_SECRET = "s3-hush-hush-5678"
ALIASES = [f"line-{number}" for number in range(12)]


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture(scope="module")
def team(database: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamServer]:
    """A running server; this process is logged in as its administrator."""
    server = TeamServer(database, tmp_path_factory.mktemp("team"), free_port())
    before = dict(os.environ)
    try:
        server.start()
        os.environ.update(server.login)
        yield server
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text()
    finally:
        server.kill()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def tracker(team: TeamServer, workspace: Storage) -> Tracker:
    return Tracker.open(TrackingSection(uri=team.uri), workspace)


def python(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=200, check=False, env={**os.environ, **environment}
    )


def agssp(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return python("-m", "agssp", *words, **environment)


def serve(backend: str, **environment: str) -> str:
    """The sentence with which a server refuses to start."""
    words = ["tracking", "serve", "--backend", backend, "--artifacts", "/tmp/agssp-never-made"]
    done = agssp(*words, **environment)
    assert done.returncode == 2, done.stderr
    assert not Path("/tmp/agssp-never-made").exists()
    return done.stderr


def test_what_is_missing_is_said_before_anything_starts(database: Postgres) -> None:
    admin, right = {"MLFLOW_AUTH_ADMIN_PASSWORD": "long-enough-1"}, {"PGPASSWORD": database.password}
    assert "MLFLOW_AUTH_ADMIN_PASSWORD" in serve(database.uri, **right, MLFLOW_AUTH_ADMIN_PASSWORD="")
    wrong = serve(database.uri, **admin, PGPASSWORD="wrong-pass")
    assert "can't be opened" in wrong
    assert "wrong-pass" not in wrong
    with_password = database.uri.replace("agssp@", f"agssp:{database.password}@")
    refused = serve(with_password, **admin)
    assert "PGPASSWORD" in refused
    assert database.password not in refused
    assert "postgresql://" in serve("sqlite:///x.db", **admin)


def test_nobody_gets_in_without_a_login(team: TeamServer) -> None:
    search = f"{team.uri}/api/2.0/mlflow/experiments/search?max_results=1"
    assert requests.get(search, timeout=10).status_code == 401
    assert requests.get(search, auth=("admin", "wrong"), timeout=10).status_code == 401
    made = agssp(
        "tracking", "add-user", "ann", "--server", team.uri, AGSSP_NEW_USER_PASSWORD="anns-own-password"
    )
    assert made.returncode == 0, made.stderr
    assert "anns-own-password" not in made.stdout + made.stderr
    assert requests.get(search, auth=("ann", "anns-own-password"), timeout=10).ok
    ann = {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "anns-own-password"}
    refused = agssp(
        "tracking", "add-user", "eve", "--server", team.uri, **ann, AGSSP_NEW_USER_PASSWORD="eves-password"
    )
    assert refused.returncode == 2
    assert "refuses this login" in refused.stderr
    nobody = agssp(
        "models", "list", f"tracking.uri={team.uri}", MLFLOW_TRACKING_USERNAME="", MLFLOW_TRACKING_TOKEN=""
    )
    assert nobody.returncode == 2
    assert "MLFLOW_TRACKING_USERNAME" in nobody.stderr


def concurrent_stage(uri: str, folder: str, number: int) -> int:
    """One stage of a pipeline of its own, in a process of its own: logs 200 steps, registers."""
    storage = Storage.open(f"{folder}/{number}")
    storage.create()
    tracker = Tracker.open(TrackingSection(uri=uri, experiment="at-once"), storage)
    with tracker.pipeline(f"p{number}", {}) as pipeline, pipeline.stage("s", config={"n": number}, tags={}):
        assert pipeline.run is not None
        pipeline.run.log_history([{"epoch": epoch, "loss": 1 / (epoch + 1)} for epoch in range(200)])
        run, digests = weights_run(tracker, Path(folder) / f"weights{number}", float(number))
        return registered(
            run, digests, f"fingerprint-{number}", name="at-once", evaluation=judged(number / 8)
        )


def test_four_stages_log_and_register_at_once(team: TeamServer, tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        arguments = [(team.uri, str(tmp_path), number) for number in range(4)]
        versions = pool.starmap(concurrent_stage, arguments)
    assert sorted(versions) == [1, 2, 3, 4]
    client = client_of(team.uri)
    experiment = client.get_experiment_by_name("at-once")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "attributes.run_name LIKE 'p%'")
    assert [run.info.status for run in runs] == ["FINISHED"] * 4
    for run in runs:
        assert len(client.get_metric_history(run.info.run_id, "loss")) == 200


def test_an_alias_that_many_add_at_once(tracker: Tracker, tmp_path: Path) -> None:
    """The database lets one of them insert it and refuses the others."""
    run, digests = weights_run(tracker, tmp_path / "weights")
    versions = [registered(run, digests, f"crowd-{number}", name="crowd") for number in range(4)]
    ready = threading.Barrier(len(versions))

    def point(version: int) -> None:
        client = client_of(tracker.uri)
        for alias in ALIASES:
            ready.wait(30)
            point_alias(client, "crowd", alias, version)

    with ThreadPoolExecutor(len(versions)) as pool:
        list(pool.map(point, versions))
    model = client_of(tracker.uri).get_registered_model("crowd")
    assert {int(model.aliases[alias]) for alias in ALIASES} <= set(versions)


@pytest.mark.parametrize("by", ["server", "database"])
def test_promotions_at_once_all_go_through(
    team: TeamServer,
    tracker: Tracker,
    workspace: Storage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    by: str,
) -> None:
    name = f"race-{by}"
    run, digests = weights_run(tracker, tmp_path / "weights")
    for number in range(1, 4):
        registered(run, digests, f"f{number}", name=name, evaluation=judged(number / 4))
    monkeypatch.setenv("PGPASSWORD", team.postgres.password)
    direct = Tracker.open(TrackingSection(uri=team.postgres.uri), workspace)
    used = tracker if by == "server" else direct
    registry = Registry.open(used)
    ready = threading.Barrier(3)

    def promoted(number: int) -> None:
        for alias in ALIASES:
            ready.wait(60)
            version = registry.version(f"{name}@{number}")
            promote(used, registry, version, dataset=DATASET, metric="map50", alias=alias, force=True)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(promoted, range(1, 4)))
    (row,) = [row for row in Registry.open(used).models if row.name == name]
    assert {row.aliases[alias] for alias in ALIASES} <= {1, 2, 3}


def test_figures_that_are_no_numbers_rank_last_everywhere(
    team: TeamServer, tracker: Tracker, workspace: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, digests = weights_run(tracker, tmp_path / "weights")
    for number, value in enumerate((0.3, math.nan, 0.6)):
        registered(run, digests, f"f{number}", name="nan-finetune-n", evaluation=judged(value))
    for name, value in {"lost": math.nan, "large": math.inf}.items():
        client_of(team.uri).log_metric(run.id, name, value)
    monkeypatch.setenv("PGPASSWORD", team.postgres.password)
    for place in (tracker, Tracker.open(TrackingSection(uri=team.postgres.uri), workspace)):
        rows = ranked(Registry.open(place).versions("nan-finetune-n"), "map50", DATASET)
        assert [row.version.version for row in rows] == [3, 1, 2]
        read = registry_reader(place).metrics(run.id)
        assert math.isnan(read.pop("lost"))
        assert read == {"map50": 1.0, "large": math.inf}


def test_look_ups_agree_by_server_by_database_and_by_mlflow(
    team: TeamServer, tracker: Tracker, workspace: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, digests = weights_run(tracker, tmp_path / "weights")
    registered(run, digests, "f0", name="line-finetune-n", evaluation=judged(0.75), alias="champion")
    registered(run, digests, "f1", name="line-finetune-n", evaluation=judged(0.5))
    monkeypatch.setenv("PGPASSWORD", team.postgres.password)
    direct = registry_reader(Tracker.open(TrackingSection(uri=team.postgres.uri), workspace))
    served = registry_reader(tracker)
    assert served.models() == direct.models()
    assert served.versions() == direct.versions()
    assert served.metrics(run.id) == direct.metrics(run.id) == {"map50": 1.0}
    assert served.metrics("0" * 32) == {}
    theirs = client_of(team.uri).search_model_versions("name='line-finetune-n'")
    mine = [version for version in served.versions() if version.name == "line-finetune-n"]
    assert {(v.version, tuple(v.tags.items())) for v in mine} == {
        (int(v.version), tuple(v.tags.items())) for v in theirs
    }


def test_models_commands_work_with_a_server(team: TeamServer, tracker: Tracker, tmp_path: Path) -> None:
    run, digests = weights_run(tracker, tmp_path / "weights")
    registered(run, digests, "f0", name="cli-finetune-n", evaluation=judged(0.75), alias="champion")
    registered(run, digests, "f1", name="cli-finetune-n", evaluation=judged(0.5))
    place = f"tracking.uri={team.uri}"
    refused = agssp("models", "promote", "cli-finetune-n", place, "--dataset", DATASET)
    assert "is better" in refused.stderr
    best = agssp("models", "show", "cli-*", place, "--best", "mAP50", "--dataset", DATASET, "--json")
    assert json.loads(best.stdout)["version"] == 1
    pulled = agssp("models", "pull", "cli-finetune-n@1", place, "--out", str(tmp_path / "out"), "--json")
    weights = Path(json.loads(pulled.stdout)["weights"])
    assert weights.read_bytes() == (tmp_path / "weights/detector.safetensors").read_bytes()


@pytest.mark.parametrize("seconds", [0, 60])
def test_an_outage_in_mid_run_loses_nothing(
    team: TeamServer, tracker: Tracker, workspace: Storage, tmp_path: Path, seconds: int
) -> None:
    take_losses()
    logged = 0

    def body(bench: Workbench) -> Mapping[str, Any]:
        nonlocal logged

        def log(steps: int) -> None:
            nonlocal logged
            for _ in range(steps):
                bench.run.log_metrics({"loss": 1 / (logged + 1)}, step=logged)
                logged += 1

        log(5)
        team.kill()
        began = time.monotonic()
        log(300)
        assert time.monotonic() - began < 30  # the run goes on: one failed request, no more
        file = tmp_path / "late.txt"
        file.write_text("logged while the server was away")
        bench.run.log_file(file, "late")
        file.unlink()
        bench.run.set_tags({"late": "yes"})
        while time.monotonic() - began < seconds:
            time.sleep(1)
            log(1)
        team.start()
        log(5)
        return {"steps": logged}

    with tracker.pipeline("outage", {}) as pipeline:
        artifact = ensure(
            "outage", site=Site(workspace, pipeline), config={"s": seconds}, inputs={}, body=body
        )
    assert take_losses() == []
    client, run = client_of(team.uri), artifact.record["mlflow_run_id"]
    history = client.get_metric_history(run, "loss")
    assert sorted(metric.step for metric in history) == list(range(logged))
    stored = client.get_run(run)
    assert stored.info.status == "FINISHED"
    assert stored.data.tags["late"] == "yes"
    assert [entry.path for entry in client.list_artifacts(run, "late")] == ["late/late.txt"]
    assert [entry.path for entry in client.list_artifacts(run) if not entry.is_dir] == ["stage.json"]


# The first stage of the same project, for where no Ray may be started.
SURFACES = """
import sys
from training.opening import open_pipeline
from training.project import read_project
with open_pipeline(read_project(sys.argv[2:]), "surfaces") as pipeline:
    print(pipeline.surfaces.directory.uri)
"""


@pytest.mark.parametrize("with_ray", [False, pytest.param(True, marks=pytest.mark.ray)])
def test_no_secret_lands_anywhere(
    team: TeamServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_ray: bool
) -> None:
    """A real run with every secret in its environment; then all that it left is searched."""
    workspace, ray = tmp_path / "workspace", Path(f"/tmp/agssp-ray-{os.getpid()}")
    secrets = {
        "MLFLOW_TRACKING_PASSWORD": team.admin_password,
        "PGPASSWORD": team.postgres.password,
        "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
        "AWS_ACCESS_KEY_ID": AWS_KEY,
    }
    words = ["corpus", f"workspace={workspace}", f"tracking.uri={team.uri}", "generate.images_per_category=8"]
    words += ["generate.size=64", "generate.categories=[rail]", "ray.cpus=2", "ray.object_store_gb=0.2"]
    words += ["ray.small_job=0"] if with_ray else []
    try:
        start = ["-m", "agssp"] if with_ray else ["-c", SURFACES]
        done = python(*start, *words, **secrets, RAY_TMPDIR=str(ray), RAY_worker_niceness="0")
        assert done.returncode == 0, done.stderr[-2000:]
        found = {path: path.read_bytes() for folder in (workspace, ray) for path in all_files(folder)}
    finally:
        subprocess.run(["rm", "-rf", str(ray)], check=True)
    assert any(path.name == "stage.json" for path in found)
    assert any("session" in str(path) for path in found) is with_ray  # Ray's logs
    found[Path("stdout and stderr")] = (done.stdout + done.stderr).encode()
    found[Path("server's log")] = team.log.read_bytes()
    for pid in team.processes():
        found[Path(f"arguments of process {pid}")] = Path(f"/proc/{pid}/cmdline").read_bytes()
    monkeypatch.setenv("PGPASSWORD", team.postgres.password)
    found[Path("database")] = whole_database(team.postgres.uri)
    assert b"images_per_category" in found[Path("database")]  # the params are in what is searched
    leaks = [
        f"{name} in {path}"
        for path, content in found.items()
        for name, secret in secrets.items()
        if secret.encode() in content
    ]
    assert leaks == []


def all_files(folder: Path) -> list[Path]:
    """Regular files below a folder, not through links."""
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def whole_database(uri: str) -> bytes:
    """Every row of every table, as text."""
    engine = sqlalchemy.create_engine(with_driver(uri))
    rows: list[str] = []
    with engine.connect() as connection:
        for table in sqlalchemy.inspect(engine).get_table_names():
            rows += map(str, connection.execute(sqlalchemy.text(f'SELECT * FROM "{table}"')))
    engine.dispose()
    return "\n".join(rows).encode()


def test_the_registry_of_a_server_that_is_away_is_told(workspace: Storage) -> None:
    tracker = Tracker("http://127.0.0.1:1", "agssp", None)
    with pytest.raises(UserError, match="can't be asked"):
        Registry.open(tracker)
