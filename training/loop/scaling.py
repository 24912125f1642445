"""How many workers train, and with what; it changes no result."""

from cluster.errors import UserError
from training.loop.section import ScalingSection


def worker_resources(section: ScalingSection, nodes: list[dict[str, float]]) -> dict[str, float]:
    """Resources of one worker, `CPU` and perhaps `GPU`, such that all workers fit.

    Ray would wait for ever, and say nothing, for workers that can't fit.

    Args:
        section: what was asked for.
        nodes: each node's resources.

    Raises:
        UserError: the cluster is too small.
    """
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    needed = section.processes * section.gpus_per_worker
    if section.gpu is True and gpus < needed:
        raise UserError(
            f"scaling.workers={section.processes} with scaling.gpu=true needs as many GPUs, and the cluster "
            f"has {gpus}; use fewer workers or scaling.gpu=false."
        )
    wanted = gpus >= needed if section.gpu == "auto" else section.gpu
    gpu = section.gpus_per_worker if wanted else 0.0
    largest = int(max((node.get("CPU", 0.0) for node in nodes), default=0.0))
    asked = section.cpus_per_worker
    for cpus in [asked] if asked is not None else [float(count) for count in range(largest, 0, -1)]:
        if sum(_fitting(node, cpus, gpu) for node in nodes) >= section.processes:
            return {"CPU": cpus, "GPU": gpu} if gpu else {"CPU": cpus}
    each = f"{asked:g} CPUs" if asked is not None else "a CPU"
    raise UserError(
        f"scaling.workers={section.processes} with {each} each don't fit on the cluster's nodes (CPUs: "
        f"{', '.join(format(node.get('CPU', 0.0), 'g') for node in nodes)}); use fewer workers or a smaller "
        f"scaling.cpus_per_worker (0.5 is allowed)."
    )


def _fitting(node: dict[str, float], cpus: float, gpu: float) -> int:
    """How many such workers one node holds."""
    by_cpu = int(node.get("CPU", 0.0) / cpus + 1e-6)
    return min(by_cpu, int(node.get("GPU", 0.0) / gpu + 1e-6)) if gpu else by_cpu
