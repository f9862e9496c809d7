"""compare: rows, seeds, errors kept in their row, the numbers beside each other, table, figure."""

import io
import math

import numpy as np
import pytest
from rich.console import Console

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.models import Ising
from statmech_ml.partition import Comparison, LogZ, Tempering, compare, exact_sum

EXACT = 5.0


@pytest.fixture(scope="module")
def path():
    return Tempering(Ising(lattices.square(3, 3)), beta=0.3)


def honest(path, n_levels=10, *, rng, bias=0.0, understated=1.0):
    """Normal about EXACT with the error it states, which falls with its cost."""
    stderr = 1.0 / math.sqrt(n_levels)
    value = EXACT + bias + stderr * np.random.default_rng(rng).normal()
    cost = {"sweeps": 10 * n_levels, "energy_evaluations": 20 * n_levels, "seconds": 0.5}
    return LogZ(value, stderr / understated, method="fake", diagnostics={"cost": cost})


def breaks(path, *, rng):
    raise ValueError("no [bold]overlap[/bold] of states 3 and 4")


def costless(path):
    return LogZ(EXACT + 0.25, math.inf, method="guess", status="approximate")


def exactly(path):
    return LogZ(EXACT, 0.0, EXACT, EXACT, method="exact", status="exact")


# --- rows -----------------------------------------------------------------------------------------


def test_one_row_per_method_and_budget(path):
    found = compare(path, [honest, costless], rng=1, budgets=[{"n_levels": 10}, {"n_levels": 40}])
    assert [(row.method, row.settings) for row in found.rows] == [
        ("honest", {"n_levels": 10}),
        ("honest", {"n_levels": 40}),
        ("costless", {}),  # takes nothing of the budgets, so it runs once
    ]
    assert found.rows[1].cost == {"sweeps": 400, "energy_evaluations": 800, "seconds": 0.5}
    assert list(found.rows[2].cost) == ["seconds"]  # measured, as the method tells nothing
    assert found.path == repr(path)


def test_own_settings_and_labels(path):
    found = compare(
        path,
        {"short": (honest, {"n_levels": 4}), "two": (honest, [{"bias": 1.0}, {"bias": 2.0}])},
        rng=1,
        budgets=[{"n_levels": 10}, {"n_levels": 20}],
    )
    assert [(row.method, dict(row.settings)) for row in found.rows] == [
        ("short", {"n_levels": 4}),  # fixed by its own settings: once
        ("two", {"n_levels": 10, "bias": 1.0}),
        ("two", {"n_levels": 20, "bias": 1.0}),
        ("two", {"n_levels": 10, "bias": 2.0}),
        ("two", {"n_levels": 20, "bias": 2.0}),
    ]


def test_names_of_estimators(path):
    found = compare(
        path,
        ["ais", "exact_sum", "mean_field"],
        exact=exact_sum(path),
        rng=3,
        budgets=[{"n_levels": 20, "n_chains": 64}],
    )
    ais, exact, bound = found.rows
    assert ais.result.diagnostics["n_chains"] == 64
    assert (exact.status, exact.rms_error) == ("exact", 0.0)
    assert (bound.status, bound.stated_error, bound.z_scores) == ("lower bound", math.inf, ())
    assert ais.z_scores == (ais.result.z(found.exact),)
    assert found.exact == exact_sum(path).value


# --- seeds ----------------------------------------------------------------------------------------


def test_runs_have_seeds_of_their_own_and_repeat(path):
    methods = {"a": honest, "b": honest}
    first = compare(path, methods, rng=7, n_repeats=3)
    again = compare(path, methods, rng=7, n_repeats=3)
    other = compare(path, methods, rng=8, n_repeats=3)
    every = [r.value for row in first.rows for r in row.results]
    assert len(set(every)) == 6
    assert every == [r.value for row in again.rows for r in row.results]
    assert not set(every) & {r.value for row in other.rows for r in row.results}


def test_without_random_numbers_one_run_is_enough(path):
    row = compare(path, [costless], rng=1, n_repeats=5).rows[0]
    assert len(row.results) == 1


# --- errors ---------------------------------------------------------------------------------------


def test_an_estimator_that_raises_is_a_row(path):
    found = compare(path, [breaks, honest], exact=EXACT, rng=1, n_repeats=2)
    broken, fine = found.rows
    assert broken.errors == ("ValueError: no [bold]overlap[/bold] of states 3 and 4",) * 2
    assert (broken.results, broken.z_scores, broken.status) == ((), (), "error")
    assert broken.result is broken.value is broken.stated_error is broken.rms_error is None
    assert len(fine.results) == 2
    assert "no [bold]overlap[/bold]" in str(found)


def test_some_runs_may_raise(path):
    def sometimes(path, *, rng):
        if rng % 2:
            raise RuntimeError("odd")
        return LogZ(EXACT, 0.1)

    row = compare(path, [sometimes], rng=1, n_repeats=20).rows[0]
    assert len(row.results) + len(row.errors) == 20
    assert row.status in (
        f"ok {len(row.results)}, error {len(row.errors)}",
        f"error {len(row.errors)}, ok {len(row.results)}",
    )


@pytest.mark.parametrize("returned", [3.0, None, LogZ(math.nan, 0.1), LogZ(math.inf, 0.1)])
def test_what_is_no_number_is_an_error(path, returned):
    row = compare(path, [lambda path: returned], rng=1).rows[0]
    assert row.results == ()
    assert "no LogZ" in row.errors[0]


def test_the_user_may_interrupt(path):
    def interrupted(path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(path, [interrupted], rng=1)


# --- numbers --------------------------------------------------------------------------------------


def honesty(path, **settings):
    """run(seed, scale) -> z of the mean deviation, and of the mean square z against 1."""

    def run(seed, scale):
        n = 200 * scale
        row = compare(path, [(honest, settings)], exact=EXACT, rng=seed, n_repeats=n).rows[0]
        z = np.array(row.z_scores)
        square = row.rms_error**2 / row.stated_error**2
        # chi-square with n degrees of freedom: variance 2 n
        return np.array([z.mean() * math.sqrt(n), (square - 1.0) * math.sqrt(n / 2.0)])

    return run


def test_rms_error_and_stated_error_agree_where_honest(path, seed, assert_unbiased):
    assert_unbiased(honesty(path), seed)


@pytest.mark.parametrize("wrong", [{"bias": 0.3}, {"understated": 1.4142}])
def test_a_dishonest_error_is_seen(path, wrong, seed, assert_rejected):
    """Errors too small by sqrt 2, as pair errors summed as if independent are; a bias."""
    assert_rejected(honesty(path, **wrong), seed)


def test_row_numbers(path):
    values = iter([(4.0, 0.5), (7.0, 1.5)])
    row = compare(path, [lambda path, *, rng: LogZ(*next(values))], exact=5, rng=1, n_repeats=2)
    row = row.rows[0]
    assert (row.value, row.stated_error) == (5.5, 1.0)
    assert row.rms_error == pytest.approx(math.sqrt(2.5))
    assert row.z_scores == (-2.0, pytest.approx(4.0 / 3.0))


# --- table and figure -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def comparison(path):
    return compare(
        path,
        {"fake": honest, "broken": breaks, "bound": costless, "sum": exactly},
        exact=EXACT,
        rng=1,
        n_repeats=4,
        budgets=[{"n_levels": n} for n in (10, 100, 1000)],
    )


def test_table(comparison):
    lines = str(comparison).splitlines()
    assert len(lines) == 1 + 1 + 1 + 6 + 1  # title, header, rule, rows, caption
    assert all(name in lines[1] for name in ("mean log Z", "rms error", "rms z", "sweeps"))
    assert "n_levels=1000" in str(comparison)
    assert "10k" in str(comparison)  # sweeps
    assert lines[-1].startswith("exact 5, 4 runs a row")
    assert "nan" not in str(comparison)
    console = Console(file=io.StringIO(), width=200)
    console.print(comparison)
    assert "fake" in console.file.getvalue()


def test_table_of_single_runs(path):
    text = str(compare(path, [honest], exact=EXACT, rng=1))
    assert "deviation" in text
    assert "rms" not in text
    assert "deviation" not in str(compare(path, [honest], rng=1))


def curves(figure):
    """Data of all lines, by their label's order: full (dashes False) and dashed ones."""
    (axes,) = figure.axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    return [line for line in axes.lines if len(line.get_xdata())]


def test_figure(comparison):
    figure = comparison.figure()
    stated = next(line for line in curves(figure) if line.get_linestyle() == "--")
    rows = comparison.rows[:3]
    np.testing.assert_allclose(stated.get_xdata(), [100, 1000, 10_000])
    np.testing.assert_allclose(stated.get_ydata(), [row.stated_error for row in rows])
    true = next(line for line in curves(figure) if line.get_linestyle() == "-")
    np.testing.assert_allclose(true.get_ydata(), [row.rms_error for row in rows])
    # "bound" has no sweeps, "sum" no error, "broken" no result
    assert [text.get_text() for text in figure.axes[0].texts] == ["fake"]
    by_time = comparison.figure("seconds")
    assert [text.get_text() for text in by_time.axes[0].texts] == ["fake", "bound"]
    figure.savefig(io.BytesIO(), format="png")


def test_many_methods_look_different(path):
    """Twelve methods at one place: each has its colour and marker, and its label a line."""
    methods = {f"method {k}": (honest, {"n_levels": 10}) for k in range(12)}
    figure = compare(path, methods, rng=1).figure()
    styles = {(line.get_color(), line.get_marker()) for line in curves(figure)}
    assert len(styles) == 12
    offsets = [text.xyann for text in figure.axes[0].texts]
    assert len(offsets) == len(set(offsets)) == 12


def test_figure_without_an_exact_value(path):
    found = compare(path, [honest], rng=1, budgets=[{"n_levels": 10}, {"n_levels": 90}])
    (line,) = curves(found.figure("energy_evaluations"))
    np.testing.assert_allclose(line.get_ydata(), [r.stated_error for r in found.rows])
    assert found.figure().axes[0].get_ylabel() == "stated error of log Z"


def test_figures_that_cannot_be_drawn(path, comparison):
    with pytest.raises(InvalidInput, match="cost='flops'"):
        comparison.figure("flops")
    with pytest.raises(InvalidInput, match="nothing to draw"):
        compare(path, [breaks, exactly], rng=1).figure()


# --- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"path": "path"}, "needs a path"),
        ({"path": Ising(lattices.chain(3))}, "needs a path"),
        ({"methods": "ais"}, "must be a list"),
        ({"methods": []}, "must be a list"),
        ({"methods": None}, "must be a list"),
        ({"methods": ["aiz"]}, "no estimator"),
        ({"methods": ["LogZ"]}, "no estimator"),
        ({"methods": ["compare"]}, "no estimator"),
        ({"methods": ["ais_from_log_weights"]}, "no estimator"),
        ({"methods": [3]}, "no estimator"),
        ({"methods": [("ais", {"n_level": 3})]}, "no setting 'n_level'"),
        ({"methods": [("ais", {"rng": 3})]}, "no setting 'rng'"),
        ({"methods": [("ais", 10)]}, "mapping"),
        ({"methods": [("ais", [])]}, "mapping"),
        ({"methods": [("ais", "fast")]}, "mapping"),
        ({"budgets": [10, 20]}, "mapping"),
        ({"budgets": []}, "mapping"),
        ({"budgets": [{"n_levles": 3}]}, "n_levles"),
        ({"exact": math.nan}, "exact"),
        ({"exact": "known"}, "exact"),
        ({"exact": LogZ(5.0, 0.1, method="ais")}, "estimate"),
        ({"n_repeats": 0}, "n_repeats"),
        ({"n_repeats": 2.0}, "n_repeats"),
        ({"rng": None}, "rng"),
        ({"rng": -1}, "rng"),
    ],
)
def test_refusals(path, arguments, match):
    """All before the first run."""

    def never(path):
        pytest.fail("it ran")

    settings = {"path": path, "methods": [never], "rng": 1} | arguments
    with pytest.raises(InvalidInput, match=match):
        compare(settings.pop("path"), **settings)


def test_comparison_is_frozen(comparison):
    assert isinstance(comparison, Comparison)
    with pytest.raises(AttributeError):
        comparison.exact = 1.0
