"""`python -m validation`: run the checks, print their verdicts, write the report."""

import argparse
import secrets
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from statmech_ml.errors import StatmechError

from .check import Check, Verdict
from .checks import all_checks
from .runner import Outcome, run_checks
from .study import results


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m validation",
        description="Check samplers, exact results, error bars, partition functions and datasets "
        "against analytic answers. Exit status 1 when a check fails.",
    )
    p.add_argument(
        "--tier", choices=("fast", "full"), default="fast",
        help="fast: about a minute; full: everything, tens of minutes (default: fast)",
    )  # fmt: skip
    p.add_argument(
        "--only", metavar="PATTERN",
        help="checks whose name contains this, or matches it as a shell pattern: 'ais', 'exact.*'",
    )  # fmt: skip
    p.add_argument("--seed", type=int, metavar="N", help="repeat a run; default: fresh, printed")
    p.add_argument(
        "--report", type=Path, metavar="DIR", help="write DIR/index.html and DIR/verdicts.json"
    )
    p.add_argument(
        "--dataset", type=Path, metavar="PATH",
        help="a dataset of ising-data: checked too, and drawn in the report",
    )  # fmt: skip
    p.add_argument(
        "--study", type=Path, metavar="PATH",
        help="results.json of examples/generative_ising.py: a page of its own in the report",
    )  # fmt: skip
    p.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes that share the checks"
    )
    p.add_argument("--list", action="store_true", help="list the checks of the tier, and stop")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 all passed, 1 a check failed, 2 wrong usage."""
    given = parser().parse_args(arguments)
    if given.seed is not None and given.seed < 0:
        parser().error(f"--seed {given.seed} is negative; give a whole number >= 0")
    if given.workers < 1:
        parser().error(f"--workers {given.workers}: at least one process must do the work")
    if given.study is not None and given.report is None:
        parser().error("--study adds a page to the report: give --report as well")
    seed = secrets.randbits(32) if given.seed is None else given.seed
    console, notes = Console(), Console(stderr=True)
    try:
        checks = select(all_checks(given.dataset), given.tier, given.only)
        if given.list:
            for check in checks:
                console.print(
                    f"[bold]{check.name}[/] ({check.tier}): {check.claim}", highlight=False
                )
            return 0
        study = None if given.study is None else results.load(given.study)
        outcome = _run(checks, given.tier, seed, notes, given.workers)
        console.print(table(outcome))
        _explain(outcome, console)
        if given.report is not None:
            # Drawing loads matplotlib.
            from .curves import collect
            from .report import write_report

            page = write_report(outcome, collect(seed, given.dataset), given.report, study)
            console.print(f"report: {page}", highlight=False, soft_wrap=True)
    except StatmechError as error:
        notes.print(f"[bold]error:[/] {error}", highlight=False, soft_wrap=True)
        return 2
    return 0 if outcome.passed else 1


def select(checks: Sequence[Check], tier: str, only: str | None) -> list[Check]:
    """The checks of a tier whose names fit; exits with status 2 and the names if there are none."""
    of_tier = [check for check in checks if tier == "full" or check.tier == "fast"]
    if only is None:
        return of_tier
    found = [check for check in of_tier if only in check.name or fnmatch(check.name, only)]
    if not found:
        names = "\n  ".join(check.name for check in of_tier)
        parser().error(
            f"--only {only!r} matches no check of the {tier} tier. There are:\n  {names}"
        )
    return found


def _run(checks: Sequence[Check], tier: str, seed: int, notes: Console, workers: int) -> Outcome:
    if not notes.is_terminal:
        return run_checks(checks, tier=tier, seed=seed, workers=workers)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=notes, transient=True) as bar:
        task = bar.add_task("starting", total=len(checks), completed=-1)

        def tell(name: str) -> None:
            bar.update(task, description=name, advance=1)

        return run_checks(checks, tier=tier, seed=seed, progress=tell, workers=workers)


def table(outcome: Outcome) -> Table:
    """The verdicts as a table for the terminal."""
    shown = Table(
        title=f"validation, tier {outcome.tier}, seed {outcome.seed}",
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    shown.add_column("check", no_wrap=True)
    for name in ("verdict", "worst", "bound", "mutants", "s"):
        shown.add_column(name, justify="right" if name != "verdict" else "left", no_wrap=True)
    for v in outcome.verdicts:
        verdict = "[green]pass[/]" if v.passed else "[bold red]FAIL[/]"
        rejected = f"{sum(m.rejected for m in v.mutants)}/{len(v.mutants)}"
        size = f"{abs(v.z):.2f}" if abs(v.z) < 1000 else f"{abs(v.z):.0e}"
        unit = "tol" if v.is_identity else "σ"
        bound = f"{v.bound:.2f} {unit}"
        shown.add_row(v.name, verdict, size, bound, rejected, f"{v.seconds:.1f}")
    passed = sum(v.passed for v in outcome.verdicts)
    mutants = [m.rejected for v in outcome.verdicts for m in v.mutants]
    shown.caption = (
        f"{passed} of {len(outcome.verdicts)} checks passed, {sum(mutants)} of {len(mutants)} "
        f"mutants rejected, {outcome.seconds:.0f} s"
    )
    return shown


def _explain(outcome: Outcome, console: Console) -> None:
    for verdict in outcome.verdicts:
        if not verdict.passed:
            console.print(_reason(verdict), highlight=False, markup=False, soft_wrap=True)
    console.print(f"repeat with --seed {outcome.seed}", highlight=False)


def _reason(v: Verdict) -> str:
    if v.error is not None:
        return f"{v.name} broke:\n{v.error}"
    if v.survivors:
        return f"{v.name} has no power: it did not reject {'; '.join(v.survivors)}."
    w = v.worst
    assert w is not None
    again = ", and again with a fresh seed and four times the draws" if v.repeated else ""
    return (
        f"{v.name} failed: {w.name} is {w.value:.8g}, exact {w.exact:.8g}, error {w.error:.2g} "
        f"(z = {w.z:+.2f}, bound {v.bound:.2f}{again}). Claim: {v.claim}"
    )


if __name__ == "__main__":
    sys.exit(main())
