"""Estimators side by side on one path: what each says, what it cost, and how far off it was.

Where log Z is known, runs that are repeated over seeds show the two numbers that must agree, the
error that an estimator makes and the error that it states,

    rms error = (1/n sum_r (log Z_r - log Z)^2)^(1/2),    stated = 1/n sum_r stderr_r,

at each cost. O. Krause, A. Fischer and C. Igel, Artif. Intell. 278, 103195 (2020),
doi:10.1016/j.artint.2019.103195, compare estimators for RBMs in this way.
"""

import importlib
import inspect
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _rng
from ..chains.progress import progress as progress_bar
from ..errors import InvalidInput
from ..exact._arguments import finite_number
from ._arguments import check_count, check_path
from .logz import EXACT, LogZ
from .path import Path

if TYPE_CHECKING:
    from rich.table import Table

Method = str | Callable[..., Any] | tuple[Any, Any]
"""A name or callable f(path, *, rng, ...) -> LogZ; with settings of its own, or several."""


@dataclass(frozen=True)
class Row:
    """One estimator with one choice of settings, run once or with several seeds.

    Attributes
    ----------
    method : str
    settings : mapping
        What the estimator was called with besides path and rng.
    results : tuple of LogZ
        Of the runs that came to an end.
    errors : tuple of str
        Messages of the runs that raised.
    exact : float or None
        log Z.
    cost : mapping
        Mean cost of a run: "seconds", and as far as the estimator tells "sweeps" and
        "energy_evaluations".
    """

    method: str
    settings: Mapping[str, Any]
    results: tuple[LogZ, ...]
    errors: tuple[str, ...] = ()
    exact: float | None = None
    cost: Mapping[str, float] = field(default_factory=dict)

    @property
    def result(self) -> LogZ | None:
        """The first run."""
        return self.results[0] if self.results else None

    @property
    def value(self) -> float | None:
        """Mean log Z of the runs."""
        return float(np.mean([r.value for r in self.results])) if self.results else None

    @property
    def stated_error(self) -> float | None:
        """Mean of the errors that the runs state, infinite where one of them is."""
        return float(np.mean([r.stderr for r in self.results])) if self.results else None

    @property
    def rms_error(self) -> float | None:
        """Root mean square deviation from the exact value; of one run, its size."""
        if self.exact is None or not self.results:
            return None
        return math.sqrt(np.mean([(r.value - self.exact) ** 2 for r in self.results]))

    @property
    def z_scores(self) -> tuple[float, ...]:
        """Deviation of each run from the exact value in its own errors, where these exist."""
        if self.exact is None:
            return ()
        known = [r for r in self.results if math.isfinite(r.stderr) and r.stderr > 0.0]
        return tuple(r.z(self.exact) for r in known)

    @property
    def status(self) -> str:
        """What the runs say of themselves: "ok", or "ok 7, low ess 1", or "error"."""
        said = [r.status for r in self.results] + ["error"] * len(self.errors)
        if len(set(said)) == 1:
            return said[0]
        return ", ".join(f"{name} {said.count(name)}" for name in dict.fromkeys(said))


@dataclass(frozen=True)
class Comparison:
    """Rows of estimators on one path.

    Attributes
    ----------
    path : str
        The path, as it prints itself.
    rows : tuple of Row
        Methods in the order given, budgets within.
    exact : float or None
        log Z.
    n_repeats : int
        Seeds per row; methods without random numbers run once.
    seed : str
        From which the seeds of all runs follow.
    """

    path: str
    rows: tuple[Row, ...]
    exact: float | None
    n_repeats: int
    seed: str

    def table(self) -> "Table":
        """A rich table: `rich.print(comparison)` shows it, and so does `print(comparison)`."""
        from ._comparison_table import draw

        return draw(self)

    def figure(self, cost: str = "sweeps") -> Any:
        """Error against cost, log-log: open symbols what is stated, full ones what is true.

        Rows without a finite error or without this cost are left out, and so are exact results.

        Parameters
        ----------
        cost : "sweeps", "energy_evaluations" or "seconds", default "sweeps"
            Seconds of a first run include the compilation of kernels.

        Returns
        -------
        matplotlib.figure.Figure
            Save it with ``figure.savefig("errors.png")``.

        Raises
        ------
        InvalidInput
            For costs of another name, and where nothing can be drawn.
        """
        from ._comparison_figure import draw

        return draw(self, cost)

    def __rich__(self) -> "Table":
        return self.table()

    def __str__(self) -> str:
        from ._comparison_table import as_text

        return as_text(self)


class _Job(NamedTuple):
    """An estimator and the settings of one row."""

    label: str
    estimator: Callable[..., Any]
    settings: dict[str, Any]
    takes: Callable[[str], bool]


def compare(
    path: Path,
    methods: Sequence[Method] | Mapping[str, Method] = ("ais", "mbar"),
    *,
    exact: float | LogZ | None = None,
    rng: Any,
    budgets: Sequence[Mapping[str, Any]] | None = None,
    n_repeats: int = 1,
    progress: bool | None = None,
) -> Comparison:
    """Run estimators on one path, at one cost or several, and lay the results side by side.

    An estimator that raises fills its row with the message; the others go on.

    Parameters
    ----------
    path : Path
    methods : sequence, or mapping by label
        Names of estimators of `statmech_ml.partition` or callables ``f(path, *, rng, ...)`` that
        return a LogZ. ``("mbar", {"exchange": True})`` has settings of its own, and
        ``("mbar", [{"n_sweeps": 100}, {"n_sweeps": 1000}])`` is one row for each.
    exact : float or exact LogZ, optional
        log Z of the path's target.
    rng : int or numpy Generator
        The seed. There is no default. Every run gets a seed of its own.
    budgets : sequence of mappings, optional
        Settings that vary the cost, such as ``[{"n_levels": 50}, {"n_levels": 500}]``: one row of
        every method for each, who takes of it what it knows and its own settings do not fix.
    n_repeats : int, default 1
        Runs of each row with different seeds. Methods without rng run once.
    progress : bool, optional
        Whether to show a bar; by default on a terminal.

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidInput
        For names and settings that no estimator knows, and for an exact value that is none. All of
        this before the first run.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> from statmech_ml.partition import Tempering, exact_sum
    >>> path = Tempering(Ising(lattices.square(4, 4)), beta=0.3)
    >>> found = compare(path, ["ais", "mean_field"], exact=exact_sum(path), rng=1, n_repeats=4)
    >>> [(row.method, row.status) for row in found.rows]
    [('ais', 'ok'), ('mean_field', 'lower bound')]
    >>> found.rows[0].rms_error < 0.1
    True
    """
    check_path(path, "compare")
    check_count("n_repeats", n_repeats, 1)
    known = _exact(exact)
    jobs = _jobs(methods, budgets)
    seed = _rng.seed_from(rng)
    rows = []
    with progress_bar(len(jobs), progress, "compare") as step:
        for job, child in zip(jobs, np.random.SeedSequence(seed).spawn(len(jobs)), strict=True):
            seeds = [int(s) for s in child.generate_state(n_repeats, np.uint64)]
            rows.append(_run(path, job, seeds, known))
            step()
    return Comparison(repr(path), tuple(rows), known, n_repeats, str(seed))


def _exact(given: Any) -> float | None:
    if isinstance(given, LogZ):
        if given.status != EXACT:
            raise InvalidInput(f"exact={given} is an estimate; deviations from it mean nothing.")
        return given.value
    return None if given is None else finite_number(given, "exact")


def _run(path: Path, job: _Job, seeds: Sequence[int], exact: float | None) -> Row:
    """All runs of one row."""
    random = job.takes("rng")
    quiet = {"progress": False} if job.takes("progress") else {}
    results, errors, costs = [], [], []
    for seed in seeds if random else seeds[:1]:
        began = time.perf_counter()
        try:
            result = job.estimator(
                path, **quiet | job.settings, **({"rng": seed} if random else {})
            )
        except Exception as error:  # whatever it is, it is this row's result
            errors.append(f"{type(error).__name__}: {error}")
            continue
        if not (isinstance(result, LogZ) and math.isfinite(result.value)):
            errors.append(f"returned {result!s:.80}, which is no LogZ of a finite value")
            continue
        results.append(result)
        cost = {"seconds": time.perf_counter() - began}
        costs.append(cost | dict(result.diagnostics.get("cost", {})))
    mean = {
        name: float(np.mean([cost[name] for cost in costs]))
        for name in ("sweeps", "energy_evaluations", "seconds")
        if costs and all(name in cost for cost in costs)
    }
    return Row(job.label, job.settings, tuple(results), tuple(errors), exact, mean)


# --- what is to be run ----------------------------------------------------------------------------


def _jobs(methods: Any, budgets: Any) -> list[_Job]:
    """One job per row, checked."""
    if isinstance(methods, str) or not isinstance(methods, Sequence | Mapping) or not methods:
        raise InvalidInput(
            f"methods={methods!r} must be a list of estimators, e.g. ['ais', 'mbar'], or a mapping "
            "from labels to them."
        )
    labelled = methods.items() if isinstance(methods, Mapping) else ((None, m) for m in methods)
    shared = _settings([{}] if budgets is None else budgets, "budgets")
    jobs: list[_Job] = []
    for label, method in labelled:
        jobs += _of_method(label, method, shared)
    unused = {name for budget in shared for name in budget} - {
        name for job in jobs for name in job.settings
    }
    if unused:
        raise InvalidInput(
            f"No method takes the setting {', '.join(sorted(unused))} that budgets= holds."
        )
    return jobs


def _of_method(label: Any, method: Any, shared: list[dict[str, Any]]) -> list[_Job]:
    """The jobs of one method: its own settings times what it takes of the shared budgets."""
    estimator, own = method if isinstance(method, tuple) and len(method) == 2 else (method, [{}])
    function = _resolve(estimator)
    label = estimator if label is None and isinstance(estimator, str) else label
    label = str(getattr(function, "__name__", function)) if label is None else str(label)
    parameters = inspect.signature(function).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())

    def takes(name: str) -> bool:
        return takes_all or name in parameters

    jobs: list[_Job] = []
    for settings in _settings(own, label):
        for name in settings:
            if not takes(name) or name in ("path", "rng"):
                raise InvalidInput(
                    f"{label} has no setting {name!r}. It has "
                    f"{', '.join(p for p in list(parameters)[1:] if p != 'rng')}."
                )
        for budget in shared:
            taken = {k: v for k, v in budget.items() if takes(k)} | settings
            # Budgets that differ only in what the method does not take are one row.
            if not any(_same(job.settings, taken) for job in jobs):
                jobs.append(_Job(label, function, taken, takes))
    return jobs


def _resolve(estimator: Any) -> Callable[..., Any]:
    """The function of this name, or the callable itself."""
    if callable(estimator):
        return estimator
    room = importlib.import_module(__package__)
    known = [name for name in room.__all__ if _sees_a_path(getattr(room, name))]
    if estimator in known:
        return getattr(room, estimator)
    raise InvalidInput(
        f"{estimator!r} is no estimator. Give a callable f(path, *, rng, ...) -> LogZ, or a name: "
        f"{', '.join(known)}."
    )


def _sees_a_path(exported: Any) -> bool:
    """Whether this is an estimator: a function of a path, or of a model or path."""
    if not inspect.isfunction(exported) or exported is compare:
        return False
    return next(iter(inspect.signature(exported).parameters)) in ("path", "model")


def _settings(given: Any, what: str) -> list[dict[str, Any]]:
    """One mapping of settings, or several, as a list of dicts."""
    several = [given] if isinstance(given, Mapping) else given
    listed = isinstance(several, Sequence) and not isinstance(several, str) and len(several) > 0
    if not listed or not all(isinstance(s, Mapping) for s in several):
        raise InvalidInput(
            f"The settings of {what} are {given!r}; a mapping, or a list of mappings, is needed: "
            "[{'n_levels': 50}, {'n_levels': 500}]."
        )
    return [dict(settings) for settings in several]


def _same(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)
