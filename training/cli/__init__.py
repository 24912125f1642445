"""every typer app of training."""
