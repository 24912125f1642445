"""The ready files for clusters: valid, wired to each other, and a batch script that passes words on."""

import os
import shutil
import stat
import subprocess
from importlib import import_module, metadata, resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

DEPLOY = Path(str(resources.files("cluster"))) / "deploy"
KUBERAY = DEPLOY / "kuberay"


def documents(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text()))


@pytest.mark.parametrize("name", ["on-premise", "aws"])
def test_ray_accepts_its_cluster_files(name: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    (config,) = documents(DEPLOY / "ray" / f"{name}.yaml")
    validate_config(prepare_config(config))
    started = " ".join(config["head_start_ray_commands"] + config["worker_start_ray_commands"])
    assert started.count("RAY_AUTH_MODE=token") == 2
    assert "/home/ray/.ray/auth_token" in config["file_mounts"]
    assert any("--env-file /etc/agssp/environment" in option for option in config["docker"]["run_options"])


def closed(properties: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """An object with these properties and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


TEXT, COUNT = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 0}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}  # numbers must be quoted
QUANTITIES = closed(
    {
        "cpu": {"type": "string", "pattern": r"^\d+m?$"},
        "memory": {"type": "string", "pattern": r"^\d+[MG]i$"},
        "nvidia.com/gpu": {"type": "string", "pattern": r"^\d+$"},
    }
)
RESOURCES = closed({"requests": QUANTITIES, "limits": QUANTITIES}, ("requests", "limits"))
REFERENCE = closed({"name": TEXT}, ("name",))
CONTAINER = closed(
    {
        "name": TEXT,
        "image": TEXT,
        "envFrom": {
            "type": "array",
            "items": closed({"configMapRef": REFERENCE, "secretRef": REFERENCE}) | {"maxProperties": 1},
        },
        "ports": {
            "type": "array",
            "items": closed({"containerPort": COUNT, "name": TEXT}, ("containerPort",)),
        },
        "resources": RESOURCES,
        "volumeMounts": {
            "type": "array",
            "items": closed({"name": TEXT, "mountPath": TEXT}, ("name", "mountPath")),
        },
    },
    ("name", "image", "resources"),
)
POD = closed(
    {
        "spec": closed(
            {
                "terminationGracePeriodSeconds": COUNT,
                "nodeSelector": TEXTS,
                "tolerations": {
                    "type": "array",
                    "items": closed(
                        {
                            "key": TEXT,
                            "operator": {"enum": ["Equal", "Exists"]},
                            "value": TEXT,
                            "effect": {"enum": ["NoSchedule", "NoExecute", "PreferNoSchedule"]},
                        },
                        ("key", "operator"),
                    ),
                },
                "volumes": {"type": "array", "items": closed({"name": TEXT, "configMap": REFERENCE})},
                "containers": {"type": "array", "minItems": 1, "items": CONTAINER},
            },
            ("containers",),
        )
    },
    ("spec",),
)
CLUSTER = closed(
    {
        "rayVersion": TEXT,
        "authOptions": closed({"mode": {"enum": ["disabled", "token"]}}),
        "enableInTreeAutoscaling": {"type": "boolean"},
        "autoscalerOptions": closed(
            {
                "upscalingMode": {"enum": ["Default", "Aggressive", "Conservative"]},
                "idleTimeoutSeconds": COUNT,
                "resources": RESOURCES,
            }
        ),
        "headGroupSpec": closed({"rayStartParams": TEXTS, "template": POD}, ("rayStartParams", "template")),
        "workerGroupSpecs": {
            "type": "array",
            "items": closed(
                {
                    "groupName": TEXT,
                    "replicas": COUNT,
                    "minReplicas": COUNT,
                    "maxReplicas": COUNT,
                    "rayStartParams": TEXTS,
                    "template": POD,
                },
                ("groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"),
            ),
        },
    },
    ("headGroupSpec", "workerGroupSpecs"),
)
JOB = closed(
    {
        "entrypoint": TEXT,
        "submissionMode": {"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
        "shutdownAfterJobFinishes": {"type": "boolean"},
        "ttlSecondsAfterFinished": COUNT,
        "backoffLimit": COUNT,
        "activeDeadlineSeconds": COUNT,
        "rayClusterSpec": CLUSTER,
    },
    ("entrypoint", "rayClusterSpec"),
)
SERVICE = closed(
    {
        "serviceUnhealthySecondThreshold": COUNT,
        "deploymentUnhealthySecondThreshold": COUNT,
        "serveConfigV2": TEXT,
        "rayClusterConfig": CLUSTER,
    },
    ("serveConfigV2", "rayClusterConfig"),
)
# Of the fields that the files use, after KubeRay's API reference (ray.io/v1).
SCHEMAS = {"RayCluster": CLUSTER, "RayJob": JOB, "RayService": SERVICE}


@pytest.mark.parametrize("name", ["raycluster", "rayjob", "rayservice"])
def test_kuberays_files(name: str) -> None:
    (document,) = documents(KUBERAY / f"{name}.yaml")
    assert document["apiVersion"] == "ray.io/v1"
    assert set(document["metadata"]) in ({"name"}, {"generateName"})
    spec = document["spec"]
    jsonschema.Draft202012Validator(SCHEMAS[document["kind"]]).validate(spec)
    cluster = spec.get("rayClusterSpec", spec.get("rayClusterConfig", spec))
    assert cluster["rayVersion"] == metadata.version("ray")
    assert cluster["authOptions"]["mode"] == "token"
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert any(
        "nvidia.com/gpu" in group["template"]["spec"]["containers"][0]["resources"]["limits"]
        for group in cluster["workerGroupSpecs"]
    )


def test_what_the_files_refer_to_is_defined() -> None:
    all_documents = [document for file in sorted(KUBERAY.glob("*.yaml")) for document in documents(file)]
    defined = {(document["kind"], document["metadata"].get("name")) for document in all_documents}
    referred = set[tuple[str, str]]()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                if key in ("secretRef", "secretKeyRef"):
                    referred.add(("Secret", value["name"]))
                elif key == "configMapRef":
                    referred.add(("ConfigMap", value["name"]))
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    for document in all_documents:
        walk(document)
    assert referred >= {
        ("Secret", "agssp-storage"),
        ("Secret", "agssp-tracking"),
        ("ConfigMap", "agssp-storage"),
    }
    assert referred <= defined
    assert {("Service", "mlflow"), ("Service", "postgresql")} <= defined


def test_no_file_holds_a_secret() -> None:
    secrets = documents(KUBERAY / "secrets.example.yaml")
    assert secrets
    for document in secrets:
        assert {
            value for name, value in document["stringData"].items() if name != "MLFLOW_TRACKING_USERNAME"
        } == {"CHANGE"}


def test_both_kuberay_files_describe_one_cluster() -> None:
    (cluster,), (job,) = documents(KUBERAY / "raycluster.yaml"), documents(KUBERAY / "rayjob.yaml")
    inner = job["spec"]["rayClusterSpec"]
    head = inner["headGroupSpec"]["template"]["spec"]
    head.pop("volumes")
    head["containers"][0].pop("volumeMounts")
    assert inner == cluster["spec"]


def test_the_services_application_is_ours_and_ray_accepts_its_config() -> None:
    from ray.serve.schema import ServeDeploySchema

    from training.project import read_project

    (service,) = documents(KUBERAY / "rayservice.yaml")
    config = ServeDeploySchema.model_validate(yaml.safe_load(service["spec"]["serveConfigV2"]))
    (application,) = config.applications
    module, _, name = application.import_path.partition(":")
    assert callable(getattr(import_module(module), name))
    assert set(application.args) == {"model", "words"}
    words = [word for word in application.args["words"] if not word.endswith(".yaml")]
    project = read_project(words)
    limit = config.http_options.request_timeout_s
    assert limit is not None
    assert limit > 2 * project.serve.timeout_s  # read, then answered
    head = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert {port["containerPort"] for port in head["ports"]} >= {config.http_options.port}


def test_the_batch_script_is_sound() -> None:
    script = str(DEPLOY / "slurm.sbatch")
    subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", script], check=True)


STAND_INS = {
    "scontrol": "printf 'node-1\\nnode-2\\nnode-3\\n'",
    "srun": 'while [ "${1#--}" != "$1" ]; do echo "$1" >>"$LOG.srun"; shift; done\nexec "$@"',
    "hostname": "echo 10.0.0.1",
    "ray": 'echo "$@" >>"$LOG.ray"\nif [ "$1" = start ]; then exec sleep 300; fi',
    "agssp": 'until [ "$(grep -c ^start "$LOG.ray")" = 3 ]; do sleep 0.05; done\n'
    'printf "%s\\0" "$@" >"$LOG.words"\necho "$RAY_ADDRESS" >"$LOG.address"\nexit 7',
}


def test_the_batch_script_starts_all_nodes_and_passes_the_words_on(tmp_path: Path) -> None:
    binaries = tmp_path / "agssp" / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for name, body in STAND_INS.items():
        (binaries / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (binaries / name).chmod(stat.S_IRWXU)
    secret = tmp_path / ".config" / "agssp" / "environment"
    secret.parent.mkdir(parents=True)
    secret.write_text("AWS_SECRET_ACCESS_KEY='hu sh'\n")
    words = ["run", "my project.yaml", "name=$(touch pwned)", ";touch pwned", "*"]
    done = subprocess.run(
        ["bash", str(DEPLOY / "slurm.sbatch"), *words],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LOG": str(tmp_path / "log"),
            "SLURM_JOB_ID": "12345",
            "SLURM_JOB_NODELIST": "node-[1-3]",
            "SLURM_CPUS_PER_TASK": "4",
            "SLURM_GPUS_ON_NODE": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    assert (tmp_path / "log.words").read_bytes() == b"".join(word.encode() + b"\0" for word in words)
    assert (tmp_path / "log.address").read_text() == "10.0.0.1:32345\n"
    assert not list(tmp_path.rglob("pwned"))
    calls = (tmp_path / "log.ray").read_text().splitlines()
    assert sum(call.startswith("start --head --block") for call in calls) == 1
    assert sum(call.startswith("start --block --address=10.0.0.1:32345") for call in calls) == 2
    nodes = (tmp_path / "log.srun").read_text()
    assert all(f"--nodelist=node-{number}" in nodes for number in (1, 2, 3))
    assert "hu sh" not in done.stdout + done.stderr + "".join(calls)
