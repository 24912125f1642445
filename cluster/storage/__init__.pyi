from .locations import check_uri, locate
from .secret_uris import has_secret, masked, refuse_secrets, refuse_secrets_in
from .storage import Storage

__all__ = ["Storage", "check_uri", "has_secret", "locate", "masked", "refuse_secrets", "refuse_secrets_in"]
