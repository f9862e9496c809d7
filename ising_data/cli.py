"""The command `ising-data`: generate, info, verify, export.

Results go to stdout, progress and errors to stderr. Exit status: 0 fine; 1 a verification failed; 2
bad input, or a store that cannot be read or written; 130 interrupted.
"""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from statmech_ml.errors import EquilibrationWarning, StatmechError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Labelled datasets of Ising configurations: generate them, look at them, check them "
    "against exact results, export them.",
    epilog="Start with: ising-data generate --lattice square --size 32 --temperatures 1.6:3.2:0.1 "
    "--samples 1000 --seed 1 --out ising32.zarr",
)


class LatticeName(StrEnum):
    """Lattices that can be asked for."""

    chain = "chain"
    square = "square"
    triangular = "triangular"
    honeycomb = "honeycomb"
    cubic = "cubic"


class SamplerName(StrEnum):
    """Samplers that can be asked for."""

    swendsen_wang = "swendsen-wang"
    wolff = "wolff"
    heat_bath = "heat-bath"
    metropolis = "metropolis"


class ExportFormat(StrEnum):
    """What a dataset can be exported to."""

    npz = "npz"
    npy = "npy"


Store = Annotated[Path, typer.Argument(metavar="STORE", help="A dataset, e.g. ising32.zarr.")]


@app.command(
    epilog="Example, with open boundaries, and 20 chains so that they can be split into training "
    "and test chains: ising-data generate --lattice triangular --size 24x48 "
    "--temperatures 2.0:5.0:0.25,3.641 --samples 2000 --chains 20 --boundary open --seed 7 "
    "--out triangular.zarr"
)
def generate(
    *,
    lattice: Annotated[
        LatticeName,
        typer.Option(metavar="NAME", help="chain, square, triangular, honeycomb or cubic."),
    ] = LatticeName.square,
    size: Annotated[str, typer.Option(metavar="SIDES", help="Cells: 32, 24x48, 8x8x8.")],
    temperatures: Annotated[
        str,
        typer.Option(
            metavar="RANGES",
            help="start:stop:step with both ends, or values, or both: 1.6:3.2:0.1,2.269.",
        ),
    ],
    samples: Annotated[int, typer.Option(help="Configurations per temperature.")],
    seed: Annotated[int, typer.Option(help="The same seed makes the same bytes.")],
    out: Annotated[Path, typer.Option(help="Directory to write; it appears when complete.")],
    coupling: Annotated[float, typer.Option(help="J, positive for ferromagnets.")] = 1.0,
    field: Annotated[float, typer.Option(help="h, in the units of J.")] = 0.0,
    boundary: Annotated[
        str, typer.Option(help="periodic or open, or one per side: periodic,open.")
    ] = "periodic",
    chains: Annotated[
        int,
        typer.Option(help="Independent chains per temperature, half from ordered starts; even."),
    ] = 4,
    sampler: Annotated[
        SamplerName | None,
        typer.Option(
            metavar="NAME",
            help="swendsen-wang, wolff, heat-bath or metropolis. Default: swendsen-wang, or "
            "heat-bath where clusters cannot be flipped freely.",
            show_default=False,
        ),
    ] = None,
    spacing: Annotated[
        int | None,
        typer.Option(
            help="Sweeps between configurations. Default: 10; 20 for local updates; for wolff one "
            "cluster per 8 sites.",
            show_default=False,
        ),
    ] = None,
    burn_in: Annotated[
        int | None,
        typer.Option(
            help="Sweeps discarded first. Default: 20 spacings; local updates also at least 1000 "
            "and 2 L^2.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Sample a dataset into a Zarr store, or continue where an interrupted run stopped.

    Every temperature gets independent chains from ordered and from random starts; configurations
    are stored with temperature, energy, magnetisation and phase. A killed run leaves no dataset but
    the finished temperatures, and the same command continues to a store with the very same bytes.
    """
    with _one_message(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", EquilibrationWarning)
        from .generate import generate as run
        from .spec import Spec

        spec = Spec(
            lattice.value,
            _sides(size),
            temperatures,
            samples=samples,
            seed=seed,
            coupling=coupling,
            field=field,
            boundary=tuple(boundary.split(",")) if "," in boundary else boundary,
            n_chains=chains,
            sampler=sampler.value if sampler else None,
            spacing=spacing,
            burn_in=burn_in,
        )
        existed = out.exists()
        dataset = run(spec, out)
    for warning in caught:
        if issubclass(warning.category, EquilibrationWarning):
            _errors().print(f"[yellow]Warning:[/] {_plain(warning.message)}", highlight=False)
    what = "is complete already" if existed else "is complete"
    _output().print(
        f"{out} {what}: {len(spec.temperatures)} temperatures x {spec.samples} configurations, "
        f"checksum {str(dataset.attributes['checksum'])[:12]}.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def info(store: Store) -> None:
    """Show what a dataset holds: its spec, where it comes from, and a line per temperature."""
    with _one_message():
        from . import _tables
        from .store import load

        dataset = load(store)
        console = _output()
        console.print(_tables.about(dataset))
        console.print()
        console.print(_tables.labels(dataset))


@app.command(
    epilog="Exit status: 0 if no check failed, 1 if one did, 2 if there is no complete dataset."
)
def verify(store: Store) -> None:
    """Check every byte against its checksum, and the physics against exact results.

    Energies and specific heats are compared with Kaufman's solution of the square torus, or the
    ring's transfer matrix, as z-scores: deviations in units of the autocorrelation-aware error.
    Chains from ordered and from random starts must agree, and no chain may be stuck in stripes
    below T_c.

    Where a comparison decides nothing the table says why: rare (nearly all draws are ground
    states), still (all are), too few draws, or too short for the autocorrelation time.
    """
    with _one_message():
        from . import _tables
        from .verify import verify as run

        report = run(store)
        console = _output()
        if report.rows:
            console.print(_tables.temperatures(report))
            console.print()
        console.print(_tables.verdicts(report))
        console.print()
        if report.source:
            console.print(f"Exact values: {report.source}.", highlight=False)
        verdict = "[green]verified[/]" if report.passed else "[bold red]NOT verified[/]"
        console.print(f"{_plain(store)}: {verdict}", highlight=False, soft_wrap=True)
    if not report.passed:
        raise typer.Exit(1)


@app.command(epilog="Example: ising-data export ising32.zarr --to npz --out ising32.npz")
def export(
    store: Store,
    to: Annotated[
        ExportFormat, typer.Option(help="npz: one file; npy: a directory of arrays, any size.")
    ] = ExportFormat.npz,
    out: Annotated[
        Path | None,
        typer.Option(help="Where to. Default: beside the store.", show_default=False),
    ] = None,
) -> None:
    """Write a dataset as plain numpy arrays, spins as int8 in {-1, +1}."""
    with _one_message():
        from .export import export as run

        written = run(store, to.value, out)
        _output().print(f"{written} is written.", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _one_message() -> Iterator[None]:
    """Errors that were raised on purpose become one message; others keep their traceback."""
    try:
        yield
    except StatmechError as error:
        _errors().print(f"[bold red]Error:[/] {_plain(error)}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        _errors().print("Interrupted. The same command continues where this one stopped.")
        raise typer.Exit(130) from None


def _plain(text: object) -> str:
    from rich.markup import escape

    return escape(str(text))


def _sides(text: str) -> tuple[int, ...]:
    from statmech_ml.errors import InvalidInput

    try:
        return tuple(int(side) for side in text.lower().replace(",", "x").split("x"))
    except ValueError as error:
        raise InvalidInput(f"--size {text!r} is not 32, 24x48 or 8x8x8.") from error


def _output() -> Console:
    """Stdout; in a pipe wide enough for the tables."""
    return Console(width=None if sys.stdout.isatty() else 110)


def _errors() -> Console:
    return Console(stderr=True)
