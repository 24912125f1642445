"""PyTorch's process group among a training's workers, set up by a controller that needs no PyTorch."""

import os
from typing import Any

import ray
from ray.train import get_context
from ray.train.backend import Backend, BackendConfig

LEAVE_SECONDS = 30.0  # for the workers' farewell, as long as Ray's own backend gives them


class TorchBackendConfig(BackendConfig):
    """What Ray's `TorchConfig()` sets up, on CPUs and NVIDIA's GPUs.

    That one imports PyTorch wherever it is unpickled, the controller too, where nothing uses it: 2 s of each
    training's start. Here only workers import it, which they do anyway.
    """

    @property
    def backend_cls(self) -> type["TorchBackend"]:
        """What the controller calls."""
        return TorchBackend

    @property
    def train_func_context(self) -> Any:
        """Ray's, around what each worker runs: the worker's GPU is the default one."""
        from ray.train.torch.config import TorchConfig

        return TorchConfig().train_func_context


class TorchBackend(Backend):
    """The controller's part: it tells the workers of each other, at their start and at their end."""

    share_cuda_visible_devices = True

    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """The group of all workers: NCCL for GPUs, else Gloo.

        Args:
            worker_group: Ray's, with the workers in the order of their ranks.
            backend_config: unused.
        """
        backend = "nccl" if worker_group.get_resources_per_worker().get("GPU", 0) > 0 else "gloo"
        address, port = worker_group.execute_single(0, _address)
        worker_group.execute(_join, backend, address, port)

    def on_shutdown(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """The workers leave the group, if they still answer."""
        leaving = worker_group.execute_async(_leave, len(worker_group) > 1)
        ray.wait(leaving, num_returns=len(leaving), timeout=LEAVE_SECONDS)


def _address() -> tuple[str, int]:
    from ray.train._internal.utils import get_address_and_port

    address, port = get_address_and_port()
    return str(address), int(port)


def _join(backend: str, address: str, port: int) -> None:
    from ray.train.torch import config

    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = address, str(port)
    config._set_torch_distributed_env_vars()  # type: ignore[no-untyped-call]
    context = get_context()
    config._setup_torch_process_group(backend, context.get_world_rank(), context.get_world_size(), "env://")


def _leave(group: bool) -> None:
    from ray.train.torch.config import _shutdown_torch

    _shutdown_torch(destroy_process_group=group)  # type: ignore[no-untyped-call]
