"""The torch device of work in this process; a Ray worker's follows from the resources that it holds."""

import torch


def best_device(asked: str | None = None) -> str:
    """The name of a device: the one asked for, else `cuda` where there is a GPU, else `cpu`.

    Args:
        asked: torch's name of a device, e.g. `cuda:1`; it is not tried.
    """
    return asked or ("cuda" if torch.cuda.is_available() else "cpu")
