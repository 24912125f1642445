"""A command that has commands below it: `agssp corpus CONFIG` beside `agssp corpus check CONFIG`."""

from typing import Any

from typer.core import TyperGroup

DEFAULT = "build"


class DefaultCommand(TyperGroup):
    """A group that runs its command `build` unless the first word names another."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name in, then go on as every group does."""
        named = bool(args) and (args[0] in self.commands or args[0] in self.get_help_option_names(ctx))
        return super().parse_args(ctx, args if named else [DEFAULT, *args])
