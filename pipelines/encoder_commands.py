"""Commands about encoders: `agssp encoder train`."""

from pathlib import Path
from typing import Annotated

import typer

from cluster.progress import say
from pipelines.surface_clip import SurfaceClipSettings, train

app = typer.Typer(help="Vision-language encoders.", no_args_is_help=True)


@app.callback()
def encoder() -> None:
    """Vision-language encoders."""


@app.command("train")
def train_command(
    out: Annotated[Path, typer.Option(help="Folder for the model; an interrupted run in it is resumed.")],
    seed: Annotated[int, typer.Option(min=0, help="Of weights, surfaces and order.")] = 0,
    steps: Annotated[int, typer.Option(min=1)] = 1800,
    batch: Annotated[int, typer.Option(min=2)] = 48,
    pool: Annotated[int, typer.Option(min=1, help="Distinct generated surfaces.")] = 20_032,
    learning_rate: Annotated[float, typer.Option(min=0)] = 1e-3,
) -> None:
    """Train surface-clip on generated surfaces (about half an hour on two cores)."""
    settings = SurfaceClipSettings(
        seed=seed, steps=steps, batch=batch, pool=pool, learning_rate=learning_rate
    )
    record = train(out, settings)
    last = record["curve"][-1]
    say(f"Trained {steps} steps in {record['seconds']} s, dense loss {last['dense']:.3f}; model in {out}.")
    typer.echo(out)
