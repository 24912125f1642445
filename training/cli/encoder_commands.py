"""`agssp train encoder`, and `agssp encoder train` as it was called before."""

from pathlib import Path
from typing import Annotated

import typer

from cluster.progress import say


def encoder(
    out: Annotated[Path, typer.Option(help="Folder for the model; an interrupted run in it is resumed.")],
    seed: Annotated[int, typer.Option(min=0, help="Of weights, surfaces and order.")] = 0,
    steps: Annotated[int, typer.Option(min=1)] = 4500,
    looks: Annotated[int, typer.Option(min=1, help="Looks in half a batch, four surfaces each.")] = 6,
    pool: Annotated[int, typer.Option(min=1, help="Distinct generated surfaces.")] = 40_000,
    learning_rate: Annotated[float, typer.Option(min=0)] = 1e-3,
    start: Annotated[
        Path | None, typer.Option(help="Folder of an earlier training to go on from, with another seed.")
    ] = None,
) -> None:
    """Train surface-clip on generated surfaces (about an hour on two cores)."""
    from training.encoder import SurfaceClipSettings
    from training.encoder.train import train

    settings = SurfaceClipSettings(
        seed=seed, steps=steps, looks=looks, pool=pool, learning_rate=learning_rate
    )
    record = train(out, settings, start)
    last = record["curve"][-1]
    say(f"Trained {steps} steps in {record['seconds']} s, dense loss {last['dense']:.3f}; model in {out}.")
    typer.echo(out)


app = typer.Typer()
former = typer.Typer(help="Now agssp train encoder.", no_args_is_help=True)
app.add_typer(former, name="encoder")


@former.callback()
def _former() -> None:
    """Now agssp train encoder."""
    say("agssp encoder train is agssp train encoder now; the former name goes with the next release.")


former.command("train")(encoder)
