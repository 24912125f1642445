"""A search on a Ray of two CPUs whose trials are Ray Train runs, halved early; prints what is held last."""

import json
import sys
import time
from typing import Any

import ray

from cluster.on_ray.section import RaySection
from cluster.on_ray.session import ray_session
from training.project import Project
from tuning.search.ledger import Budget
from tuning.search.request import Request, check_search
from tuning.search.search import run_search

DOCUMENT = {
    "generate": {
        "seed": 7,
        "images_per_category": 16,
        "size": 64,
        "defect_share": 0.7,
        "categories": ["rail"],
    },
    "backbone": {"name": "yolov8n", "image_size": 64, "loop": {"epochs": 10, "batch_size": 8}},
}
SEARCHED = ["backbone.loop.lr=[0.003, 1e-7, 2e-7, 3e-7]"]


def run(workspace: str) -> dict[str, Any]:
    """Search; the best trial, and the states that placement groups are in afterwards."""
    document = {**DOCUMENT, "workspace": workspace}
    project = Project.model_validate(document)
    document, space, metric = check_search("backbone", project, document, SEARCHED, None, None)
    project = Project.model_validate(document)
    request = Request(
        stage="backbone",
        name="halved",
        project=project,
        document=document,
        space=space,
        metric=metric,
        trials=4,
        exhaustive=True,
        scheduler="asha",
        grace_epochs=1,
        concurrent=None,
        max_failures=0,
        budget=Budget(),
    )
    with ray_session(RaySection(cpus=2, gpus=0, object_store_gb=0.5)):
        best = run_search(request, registers=False, estimate_only=False)["best"]
        deadline = time.monotonic() + 60
        while (groups := states()) != ["REMOVED"] and time.monotonic() < deadline:
            time.sleep(0.2)
        return {"groups": groups, "best": best}


def states() -> list[str]:
    """Of all placement groups there have been."""
    return sorted({group["state"] for group in ray.util.placement_group_table().values()})


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1])))  # noqa: T201 (read by the test)
