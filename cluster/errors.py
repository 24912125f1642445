"""The one exception that means: the user's input is at fault."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """The input is at fault; the message is one sentence that names the thing and the remedy.

    Commands print it without a traceback and exit with code 2.
    """


def nearest(name: str, valid: Iterable[str]) -> str:
    """Say what was probably meant: `did you mean "x"?`, or the list of valid names.

    Args:
        name: the user's word.
        valid: the names that would have been accepted.
    """
    options = sorted(valid)
    match = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    if match:
        return f'did you mean "{match[0]}"?'
    return f"valid: {', '.join(options)}"
