"""Class names as they are written: never a number, truth value or null that a parser made of them."""

from pipelines.annotations.base import AnnotationError, checked_label


def written_label(value: object) -> str:
    """A class name from JSON: text, or a whole number, which JSON can write in one way only.

    Raises:
        AnnotationError: anything else: `null`, `true`, `1.0`, a list; or no class name.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return checked_label(str(value))
    if not isinstance(value, str):
        kinds = {type(None): "null", bool: str(value).lower(), float: repr(value)}
        raise AnnotationError(f"its class is {kinds.get(type(value), 'no text')} and not a name in quotes")
    return checked_label(value)
