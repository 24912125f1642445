"""every typer app of tuning."""
