from .faults import RemovedError, no_space, workspace_faults
from .locations import check_uri, locate
from .secret_uris import has_secret, masked, refuse_secrets, refuse_secrets_in
from .storage import Storage

__all__ = [
    "RemovedError",
    "Storage",
    "check_uri",
    "has_secret",
    "locate",
    "masked",
    "no_space",
    "refuse_secrets",
    "refuse_secrets_in",
    "workspace_faults",
]
