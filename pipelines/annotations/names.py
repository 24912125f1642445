"""Words of the config that readers of annotations know; without numpy, so that a config is read at once."""

from typing import Literal

Crowds = Literal["auto", "objects", "ignored"]  # what a mark that sets an object apart means, see `crowds.py`
