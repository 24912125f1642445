"""The commands that launch jobs on a cluster and watch them."""

import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from cluster.cli.command import Json, listing_table, out, run_command
from cluster.cli.job_words import check_workspace, ground_of_words
from cluster.errors import UserError
from cluster.jobs import jobs, shipping, standings, standings_json
from cluster.on_ray import RaySection, ray_session
from cluster.progress import console, say

REFRESH_SECONDS = 2.0
Address = Annotated[
    str | None,
    typer.Option(help="The head's dashboard, http://HOST:8265; else RAY_API_SERVER_ADDRESS or RAY_ADDRESS."),
]


def _finite(value: float | None) -> float | None:
    """An amount that a machine can have; click lets infinity through.

    Raises:
        typer.BadParameter: it is infinite.
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


JobId = Annotated[str, typer.Argument(metavar="JOB", help="As `jobs list` shows it.")]
OwnProcess = Annotated[
    float | None, typer.Option(min=0, callback=_finite, help="Of the command's own process.")
]
AnyJob = Annotated[
    str | None, typer.Argument(metavar="[JOB]", help="The newest that runs by default.", show_default=False)
]


app = typer.Typer()
listing = typer.Typer(no_args_is_help=True, help="Jobs of a Ray cluster.")
app.add_typer(listing, name="jobs")


# What follows the first word is the command's own, options too.
@app.command("submit", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def submit_command(
    command: Annotated[
        list[str], typer.Argument(help="Of agssp, e.g. run project.yaml; its configs are shipped.")
    ],
    address: Address = None,
    directory: Annotated[
        Path | None, typer.Option(help="Ship this folder; the command runs in it (.gitignore is heeded).")
    ] = None,
    wheel: Annotated[
        Path | None, typer.Option(help="Ship agssp from this wheel instead of from this installation.")
    ] = None,
    requirements: Annotated[
        Path | None, typer.Option(help="Install these on every node first, e.g. requirements.lock.")
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, or NAME to take it from here; no secrets.")
    ] = None,
    cpus: OwnProcess = None,
    gpus: OwnProcess = None,
    memory_gb: OwnProcess = None,
    resource: Annotated[
        list[str] | None, typer.Option(help="NAME=AMOUNT of a node's custom resource.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Stream the log, and exit as the command does.")] = True,
    as_json: Json = False,
) -> None:
    """Run an agssp command as a job on a Ray cluster; without --address on a local one."""

    def body() -> Mapping[str, Any]:
        words = command[1:] if command[0] == "agssp" else list(command)
        shipping.check_words(words)
        needs = jobs.Resources(cpus, gpus, memory_gb, _amounts(resource or []))
        environment = shipping.environment(env or [], os.environ)
        runtime_env: dict[str, Any] = {"env_vars": environment}
        if requirements is not None:
            runtime_env["uv"] = shipping.requirements(requirements)
        project = ground_of_words(words)
        named = jobs.named_address(address)
        if named is None:
            if directory is not None or wheel is not None or not wait:
                raise UserError("--directory, --wheel and --no-wait need a cluster: give its --address.")
            with _started(project.ray) as local:
                runtime_env["env_vars"] |= _here()
                return _submitted(local, words, runtime_env, needs, wait, as_json)
        check_workspace(words, project)
        with tempfile.TemporaryDirectory() as folder:
            runtime_env["py_modules"] = shipping.stage_code(Path(folder) / "code", wheel)
            if directory is not None:
                shipping.check_configs(directory, words)
                runtime_env["working_dir"] = str(directory.absolute())
            else:
                words = shipping.stage_configs(Path(folder) / "work", words)
                runtime_env["working_dir"] = str(Path(folder) / "work")
            return _submitted(named, words, runtime_env, needs, wait, as_json)

    run_command(
        body,
        json_mode=as_json,
        render=_render_submitted,
        exit_code=lambda result: result["exit_code"] or 0,
    )


@listing.command("list")
def list_command(address: Address = None, as_json: Json = False) -> None:
    """All jobs of the cluster, the newest first."""
    run_command(
        lambda: {"jobs": [jobs.job_json(job) for job in jobs.all_jobs(_client(address))]},
        json_mode=as_json,
        render=_render_jobs,
    )


@listing.command("show")
def show_command(job: JobId, address: Address = None, as_json: Json = False) -> None:
    """One job: its command, state and times."""
    run_command(lambda: jobs.job_json(jobs.find_job(_client(address), job)), json_mode=as_json)


@listing.command("logs")
def logs_command(
    job: AnyJob = None,
    address: Address = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
) -> None:
    """What a job printed."""

    def body() -> Mapping[str, Any]:
        client = _client(address)
        job_id = str(jobs.find_job(client, job).submission_id)
        if follow:
            _print_log(client, job_id, sys.stdout)
        else:
            sys.stdout.write(client.get_job_logs(job_id))
        return {}

    run_command(body, json_mode=False, render=lambda result: None)


@listing.command("stop")
def stop_command(job: JobId, address: Address = None, as_json: Json = False) -> None:
    """End a job; the same command submitted again goes on where it was."""

    def body() -> Mapping[str, Any]:
        client = _client(address)
        job_id = str(jobs.find_job(client, job).submission_id)
        stopped = client.stop_job(job_id)
        if stopped:
            _wait_for_end(client, job_id)
        return {"id": job_id, "stopped": stopped, "status": str(client.get_job_status(job_id))}

    run_command(body, json_mode=as_json)


@listing.command("top")
def top_command(
    job: AnyJob = None,
    address: Address = None,
    once: Annotated[bool, typer.Option("--once", help="Print once instead of until the job ends.")] = False,
    as_json: Json = False,
) -> None:
    """A job's stages with throughput and time left, anew every 2 s."""

    def body() -> Mapping[str, Any]:
        client = _client(address)
        job_id = str(jobs.find_job(client, job).submission_id)
        if not (once or as_json):
            with Live(console=console, auto_refresh=False, transient=True) as live:
                while str(client.get_job_status(job_id)) not in jobs.ENDED:
                    live.update(_top_table(_top(client, job_id)), refresh=True)
                    time.sleep(REFRESH_SECONDS)
        return _top(client, job_id)

    run_command(body, json_mode=as_json, render=lambda result: out.print(_top_table(result)))


def _client(address: str | None) -> Any:
    return jobs.connect(jobs.named_address(address) or jobs.LOCAL_DASHBOARD)


def _amounts(words: Sequence[str]) -> dict[str, float]:
    """Custom resources of `NAME=AMOUNT` words."""
    amounts = {}
    for word in words:
        name, _, amount = word.partition("=")
        try:
            amounts[name] = float(amount)
        except ValueError:
            amounts[name] = -1.0
        if not name or not 0 < amounts[name] < float("inf"):
            raise UserError(f'--resource "{word}" must read NAME=AMOUNT, the amount above 0.')
    return amounts


@contextmanager
def _started(section: RaySection) -> Iterator[str]:
    """A local cluster, announced."""
    say("submit: no --address is given, so a cluster is started on this machine and ends with this command")
    with ray_session(section), jobs.local_cluster() as address:
        say(f"submit: watch it with agssp jobs top --address {address}")
        yield address


def _here() -> dict[str, str]:
    """Variables that lead to this Python and this code on this machine."""
    home = str(Path(shipping.__file__).parents[2])
    code = os.pathsep.join(part for part in (home, os.environ.get("PYTHONPATH", "")) if part)
    binaries = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    return {"PYTHONPATH": code, "PATH": binaries}


def _submitted(
    address: str,
    words: Sequence[str],
    runtime_env: Mapping[str, Any],
    needs: jobs.Resources,
    wait: bool,
    as_json: bool,
) -> Mapping[str, Any]:
    line = shipping.entrypoint(words)
    client = jobs.connect(address)
    job = jobs.submit(client, line, runtime_env, needs, words[0])
    say(f"submit: job {job} at {address}")
    if not wait:
        return {"id": job, "status": str(client.get_job_status(job)), "exit_code": None}
    try:
        _print_log(client, job, sys.stderr if as_json else sys.stdout)
    except KeyboardInterrupt:
        say(f"submit: the job goes on where its cluster does; agssp jobs stop {job} ends it")
        raise
    ended = _wait_for_end(client, job)
    if str(ended.status) == "FAILED" and ended.driver_exit_code is None and ended.message:
        say(f"submit: the job never ran to its end: {' '.join(ended.message.split())[:1000]}")
    return {"id": job, "status": str(ended.status), "exit_code": jobs.exit_code(ended)}


def _print_log(client: Any, job: str, stream: Any) -> None:
    for piece in jobs.follow(client, job):
        stream.write(piece)
        stream.flush()


def _wait_for_end(client: Any, job: str) -> Any:
    while str((details := jobs.find_job(client, job)).status) not in jobs.ENDED:
        time.sleep(jobs.POLL_SECONDS)
    return details


def _top(client: Any, job: str) -> Mapping[str, Any]:
    details = jobs.find_job(client, job)
    return {**jobs.job_json(details), "stages": standings_json(standings(client.get_job_logs(job)))}


def _top_table(result: Mapping[str, Any]) -> Group:
    """A job's stages for a person."""
    table = listing_table("stage", "state", "done", "a second", "time left", "")
    for stage in result["stages"]:
        step = stage["step"] or {}
        total = f" of {step['total']}" if step.get("total") is not None else ""
        left = step.get("left")
        took = f"{stage['seconds']:.1f} s" if stage["seconds"] is not None else ""
        cells = (
            stage["stage"],
            f"{stage['state']} {took}".strip(),
            f"{step['done']}{total}" if step else "",
            f"{step['rate']:.3g}" if step.get("rate") is not None else "",
            str(timedelta(seconds=left)) if left is not None else "",
            " ".join((step.get("title", ""), step.get("note", ""))).strip() or stage["figures"],
        )
        table.add_row(*map(Text, cells))
    return Group(Text(f"{result['id']}  {result['status']}  {result['command']}"), table)


def _render_jobs(result: Mapping[str, Any]) -> None:
    if not result["jobs"]:
        out.print("No job was submitted yet.")
        return
    table = listing_table("job", "status", "exit", "started", "took", "command", whole=0)
    for job in result["jobs"]:
        started = datetime.fromtimestamp(job["started"]).isoformat(" ", "seconds") if job["started"] else ""
        took = str(timedelta(seconds=round(job["ended"] - job["started"]))) if job["ended"] else ""
        code = str(job["exit_code"]) if job["exit_code"] is not None else ""
        table.add_row(*map(escape, (job["id"], job["status"], code, started, took, job["command"])))
    out.print(table)


def _render_submitted(result: Mapping[str, Any]) -> None:
    code = result["exit_code"]
    ended = f", exit code {code}" if code is not None else f"; agssp jobs logs -f {result['id']} follows it"
    out.print(f"Job {result['id']}: {result['status']}{ended}")
