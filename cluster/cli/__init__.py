"""every typer app of the ground, and what all commands share."""
