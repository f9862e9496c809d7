"""``python -m benchmarks``: run the comparisons, print them, write results.json and the README."""

import json

import numba
from rich.console import Console
from rich.table import Table

from . import ais, exact, ising, mbar, rbm
from .readme import RESULTS, write_table
from .timing import Result, machine


def main() -> None:
    """Every benchmark in one process, on one thread where its name gives no other number."""
    numba.set_num_threads(1)
    results: list[Result] = []
    table = Table(title="Speed, one thread unless named, ratios in one process")
    for column in ("job", "rate", "reference", "its rate", "ratio", "target"):
        table.add_column(column)
    for benchmark in (
        ising.local_updates,
        ising.wolff,
        ising.swendsen_wang,
        exact.coupled_spins,
        ais.annealing,
        rbm.block_gibbs,
        rbm.epochs,
        rbm.scaling,
        mbar.solving,
    ):
        for r in benchmark():
            results.append(r)
            table.add_row(
                r.name,
                f"{r.rate:.3g} {r.unit}",
                r.reference,
                f"{r.reference_rate:.3g}",
                f"{r.ratio:.2f}x",
                f"{r.target:g}x",
            )
    Console().print(table)
    document = {"machine": machine(), "results": [r.as_json() for r in results]}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    write_table(document)
    Console().print(f"written to {RESULTS.name} and README.md: {machine()['processor']}")


if __name__ == "__main__":
    main()
