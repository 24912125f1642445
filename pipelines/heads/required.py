"""Whether a method has the head that it needs, asked before PyTorch is loaded."""

from cluster.errors import UserError


def required_head(method: str, location: str | None) -> str:
    """The file of a method's head.

    Raises:
        UserError: none is named.
    """
    if location is None:
        raise UserError(
            f"maps.method={method} needs a trained head; agssp train maps --method {method} trains one: give "
            f"the file that it names as maps.{method}.head."
        )
    return location
