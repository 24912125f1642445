"""every typer app of pipelines."""
