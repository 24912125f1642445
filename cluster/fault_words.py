"""What a config's value must be, in the user's terms instead of the checking library's."""

from collections.abc import Mapping, Sequence
from typing import Any

SECTION = "must be a section of settings, KEY: VALUE below it or SECTION.KEY=VALUE as an override"
LIST = "must be a list, [a, b, …]"
# By the type of a fault as pydantic names it; {…} are values of its context.
WORDS: Mapping[str, str] = {
    "model_type": SECTION,
    "model_attributes_type": SECTION,
    "dict_type": SECTION,
    "mapping_type": SECTION,
    "list_type": LIST,
    "tuple_type": LIST,
    "set_type": LIST,
    "frozen_set_type": LIST,
    "iterable_type": LIST,
    "string_type": "must be text",
    "string_too_short": "must have {min_length} characters or more",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "none_required": "must be null",
    "missing": "is missing",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have at most {max_length} entries",
    "extra_forbidden": "is no key that is known here",
}
OWN = ("Value error, ", "Assertion failed, ")  # before our own sentences


def in_words(fault: Mapping[str, Any]) -> str:
    """One fault of `ValidationError.errors()` without its place, e.g. `must be 1 or more`.

    A fault of our own validators is told in its own words, one without words here in the library's.
    """
    words = WORDS.get(str(fault["type"]))
    if words is not None:
        return words.format(**fault.get("ctx", {}))
    message = str(fault["msg"])
    for prefix in OWN:
        message = message.removeprefix(prefix)
    return message


def place(fault: Mapping[str, Any], document: Any) -> list[str]:
    """Where a fault is, by the document's own keys.

    Where a value may be of several kinds, the library adds the kind that it tried; that is no key.
    """
    if fault["type"] in ("missing", "extra_forbidden"):
        return [str(part) for part in fault["loc"]]
    path = []
    for part in fault["loc"]:
        in_list = isinstance(document, list | tuple) and isinstance(part, int)
        if not in_list and not (isinstance(document, Mapping) and part in document):
            break
        document = document[part]
        path.append(str(part))
    return path


def first_fault(faults: Sequence[Mapping[str, Any]], document: Any) -> tuple[list[str], str]:
    """The place of the first fault, and what must be there: of every kind that would do.

    Args:
        faults: `ValidationError.errors()`, at least one.
        document: the document that was checked.
    """
    path = place(faults[0], document)
    same = dict.fromkeys(in_words(fault) for fault in faults if place(fault, document) == path)
    first, *others = same
    return path, " or ".join([first, *(other.removeprefix("must be ") for other in others)])
