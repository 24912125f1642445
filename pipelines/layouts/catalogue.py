"""All layouts by name, and the choice of one by the files."""

from importlib import import_module

from cluster.errors import UserError, nearest
from pipelines.layouts.base import Layout
from pipelines.layouts.names import AUTO, LAYOUT_NAMES
from pipelines.layouts.tree import Tree

# Each layout lies in the module of its name. `auto` tries them in this order.
LAYOUTS: dict[str, Layout] = {
    name: getattr(import_module(f"pipelines.layouts.{name}"), name) for name in LAYOUT_NAMES
}


def find_layout(name: str, tree: Tree) -> Layout:
    """The layout of that name, or for `auto` the most specific one that fits the files.

    Raises:
        UserError: no layout has that name.
    """
    if name == AUTO:
        return next(layout for layout in LAYOUTS.values() if layout.fits(tree))
    if name not in LAYOUTS:
        raise UserError(f'There is no dataset layout "{name}"; {nearest(name, LAYOUTS)}')
    return LAYOUTS[name]
