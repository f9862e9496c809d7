"""MBAR: harmonic wells in closed form, honest errors of correlated samples, refusals, pymbar.

Harmonic wells k (x - m)^2 / 2 have f = log(k) / 2 up to a constant.
"""

import functools
import math

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput, StatmechError
from statmech_ml.exact import kaufman
from statmech_ml.models import BernoulliRBM, DoubleWell, Gaussian, GaussianMixture, Ising
from statmech_ml.partition import (
    AffineEnergies,
    Geometric,
    TemperedEnergies,
    Tempering,
    Weights,
    bar_from_work,
    exact_sum,
    mbar,
    mbar_from_energies,
)
from statmech_ml.partition._mbar_result import roots
from statmech_ml.samplers import ULA

STIFFNESS = np.array([1.0, 2.0, 4.0, 3.0])
CENTRE = np.array([0.0, 0.5, 1.2, 2.0])
COUNTS = np.array([400, 0, 900, 250])
F = 0.5 * np.log(STIFFNESS / STIFFNESS[0])


def energies(x, stiffness=STIFFNESS, centre=CENTRE):
    return 0.5 * stiffness[:, None] * (x - centre[:, None]) ** 2


def wells(seed, counts=COUNTS):
    """Independent samples of the wells, and their energies in all of them."""
    rng = np.random.default_rng(seed)
    scale, centre = np.repeat(STIFFNESS**-0.5, counts), np.repeat(CENTRE, counts)
    x = centre + scale * rng.normal(size=counts.sum())
    return x, energies(x)


def z_of(values, errors, exact):
    """z of the mean of independent runs, and how far the spread of their z is from one."""
    z = (np.asarray(values) - exact) / np.asarray(errors)
    n = len(z)
    spread = (z.std(axis=0, ddof=1) - 1.0) * math.sqrt(2.0 * n)
    return np.concatenate([np.ravel(z.mean(axis=0) * math.sqrt(n)), np.ravel(spread)])


def harmonic(f_of=lambda r: r.f_k, **arguments):
    def run(seed, scale):
        found = []
        for s in np.random.SeedSequence(seed).spawn(60 * scale):
            _, u = wells(s)
            r = mbar_from_energies(u, COUNTS, **arguments)
            found.append((f_of(r)[1:], r.stderr[1:]))
        values, errors = zip(*found, strict=True)
        return z_of(values, errors, F[1:])

    return run


def test_harmonic_wells(seed, assert_unbiased):
    """Unbiased, with errors that are right, one state never sampled."""
    assert_unbiased(harmonic(), seed)


def test_wrong_sign_is_rejected(seed, assert_rejected):
    assert_rejected(harmonic(lambda r: -r.f_k), seed)


def test_expectation(seed, assert_unbiased, assert_rejected):
    """Mean and square in a well that is not in the table."""
    stiffness, centre = 2.5, 0.8
    exact = np.array([centre, centre**2 + 1 / stiffness])

    def check(n_of=lambda r: r.stderr):
        def run(seed, scale):
            found = []
            for s in np.random.SeedSequence(seed).spawn(60 * scale):
                x, u = wells(s)
                other = 0.5 * stiffness * (x - centre) ** 2
                r = mbar_from_energies(u, COUNTS).expectation([x, x**2], other)
                found.append((r.value, n_of(r)))
            values, errors = zip(*found, strict=True)
            return z_of(values, errors, exact)

        return run

    assert_unbiased(check(), seed)
    assert_rejected(check(lambda r: 0.5 * r.stderr), seed)


@functools.cache
def solved():
    x, u = wells(5)
    return x, u, mbar_from_energies(u, COUNTS)


def test_solution_solves_the_equations():
    """Eq. 11 written out, by long-hand sums."""
    x, u, r = solved()
    d = (COUNTS[:, None] * np.exp(r.f_k[:, None] - u)).sum(axis=0)
    np.testing.assert_allclose((np.exp(r.f_k[:, None] - u) / d).sum(axis=1), 1.0, rtol=1e-12)
    w = np.exp(r.f_k[:, None] - u) / d
    np.testing.assert_allclose(r.overlap_matrix, (w @ w.T) * COUNTS, rtol=1e-10)
    np.testing.assert_allclose(r.overlap_matrix.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(r.n_effective, 1 / (w**2).sum(axis=1), rtol=1e-10)
    np.testing.assert_allclose(r.expectation(x, 2).value, w[2] @ x, rtol=1e-12)


def test_covariance_is_that_of_equation_8():
    """Theta = W^T (I - W N W^T)^+ W with the full N x N matrix."""
    _, u, r = solved()
    w = np.exp(r.f_k[:, None] - u)
    w = (w / (COUNTS[:, None] * w).sum(axis=0)).T
    middle = np.linalg.pinv(np.eye(len(w)) - (w * COUNTS) @ w.T, hermitian=True, rcond=1e-10)
    theta = w.T @ middle @ w
    d = np.diag(theta)
    for i in range(4):
        for j in range(4):
            expected = math.sqrt(max(0.0, d[i] + d[j] - 2 * theta[i, j]))
            value, stderr = r.difference(i, j)
            assert value == r.f_k[j] - r.f_k[i]
            assert stderr == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_new_states_are_like_rows_of_the_table():
    """A state asked for afterwards has the f and the error that it has inside."""
    _, u, r = solved()
    found = r.free_energies(u)
    np.testing.assert_allclose(found.f, r.f_k, atol=1e-12)
    np.testing.assert_allclose(found.covariance, r.covariance, atol=1e-14)
    np.testing.assert_allclose(found.ess, r.n_effective)


class Slices:
    """Nothing but .shape and slices u_kn[:, a:b]."""

    def __init__(self, u):
        self._u, self.shape = u, u.shape

    def __getitem__(self, key):
        assert key[0] == slice(None)
        return self._u[key]


@pytest.mark.parametrize("chunk_size", [7, 100, 10**6])
def test_chunks_change_nothing(chunk_size):
    x, u, whole = solved()
    clusters = np.arange(len(x)) % 60
    r = mbar_from_energies(Slices(u), COUNTS, chunk_size=chunk_size)
    np.testing.assert_allclose(r.f_k, whole.f_k, atol=1e-12)
    np.testing.assert_allclose(r.covariance, whole.covariance, rtol=1e-9, atol=1e-15)
    a = mbar_from_energies(u, COUNTS, clusters=clusters).covariance
    b = mbar_from_energies(u, COUNTS, clusters=clusters, chunk_size=chunk_size).covariance
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-15)


def test_stored_energies(tmp_path):
    """From a memory map and from a zarr array."""
    import zarr

    _, u, whole = solved()
    mapped = np.memmap(tmp_path / "u", np.float64, "w+", shape=u.shape)
    mapped[:] = u
    stored = zarr.create_array(tmp_path / "u.zarr", data=u, chunks=(4, 300))
    for table in (mapped, stored):
        np.testing.assert_array_equal(mbar_from_energies(table, COUNTS).f_k, whole.f_k)


def test_large_table_starts_from_a_part():
    """Enough samples for a pilot: the answer is that of all of them."""
    counts = 100 * COUNTS
    _, u = wells(8, counts)
    r = mbar_from_energies(u, counts)
    d = (counts[:, None] * np.exp(r.f_k[:, None] - u)).sum(axis=0)
    np.testing.assert_allclose((np.exp(r.f_k[:, None] - u) / d).sum(axis=1), 1.0, rtol=1e-11)
    assert r.passes <= 4


def test_lazy_energies():
    rng = np.random.default_rng(2)
    e, betas = rng.normal(size=50), np.array([0.0, 0.4, 1.0])
    np.testing.assert_array_equal(
        TemperedEnergies(betas, e)[:, 10:20], np.multiply.outer(betas, e[10:20])
    )
    start, end = rng.normal(size=(2, 50))
    end[3] = np.inf
    u = AffineEnergies(betas, start, end)[:, :]
    assert (u[0] == start).all()
    assert (u[2] == end).all()
    np.testing.assert_allclose(u[1, 4:], 0.6 * start[4:] + 0.4 * end[4:])
    assert u[1, 3] == np.inf
    with pytest.raises(InvalidInput, match="list of numbers"):
        TemperedEnergies([[1.0]], e)
    with pytest.raises(InvalidInput, match="finite"):
        TemperedEnergies([np.inf], e)
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        AffineEnergies([1.5], start, end)
    with pytest.raises(InvalidInput, match="every sample needs both"):
        AffineEnergies([0.5], start, end[1:])


def test_shifted_energies_shift_f():
    """u + c in one state moves its f by c, and a number added to every state moves nothing."""
    x, u, whole = solved()
    shift = np.array([0.0, 3.0, -1e4, 7.0])
    r = mbar_from_energies(u + shift[:, None] + 100 * np.sin(x), COUNTS)
    np.testing.assert_allclose(r.f_k - shift, whole.f_k, atol=1e-9)


def test_two_states_are_bar(seed):
    rng = np.random.default_rng(seed)
    w_f, w_r = rng.normal(2.0, 2.0, 300), rng.normal(2.0, 2.0, 500)
    u = np.zeros((2, 800))
    u[1] = np.concatenate([w_f, -w_r])
    r, two = mbar_from_energies(u, [300, 500]), bar_from_work(w_f, w_r)
    assert r.f_k[1] == pytest.approx(-two.value, abs=1e-10)
    assert r.stderr[1] == pytest.approx(two.stderr, abs=1e-10)
    assert r.overlap == pytest.approx(two.diagnostics["overlap"], abs=1e-10)


def test_one_state():
    """Nothing to solve; averages are means, and reweighting has the ESS of a trap."""
    x = np.random.default_rng(1).normal(size=2000)
    r = mbar_from_energies(energies(x)[:1], [2000])
    assert (r.f_k, r.stderr, r.overlap) == (0.0, 0.0, 1.0)
    found = r.expectation(x, 0)
    assert found.value == pytest.approx(x.mean())
    assert found.stderr == pytest.approx(x.std() / math.sqrt(2000))
    assert found.ess == pytest.approx(2000)


def trap_ess(stiffness=1.0):
    """ESS / N of weights from a trap of stiffness 1 to k: sqrt(2 k - 1) / k."""

    def run(seed, scale):
        found = []
        for s in np.random.SeedSequence(seed).spawn(100 * scale):
            x = np.random.default_rng(s).normal(size=4000)
            r = mbar_from_energies(0.5 * x[None] ** 2, [4000])
            found.append(r.expectation(x, 0.5 * 1.5 * x**2).ess / 4000)
        exact = math.sqrt(2 * 1.5 * stiffness - 1) / (1.5 * stiffness)
        # The mean of a ratio is biased by 1/N, far below its error here.
        return np.array([(np.mean(found) - exact) / (np.std(found) / math.sqrt(len(found)))])

    return run


def test_effective_samples_of_a_trap(seed, assert_unbiased, assert_rejected):
    assert_unbiased(trap_ess(), seed)
    assert_rejected(trap_ess(stiffness=1.02), seed)


def autoregressive(rng, *shape, rho=0.7):
    """Standard normal AR(1) series along the last axis."""
    y = rng.normal(size=shape)
    for t in range(1, shape[-1]):
        y[..., t] = rho * y[..., t - 1] + math.sqrt(1 - rho**2) * y[..., t]
    return y


def correlated(with_clusters, nested):
    """16 chains of 60 correlated samples in three wells.

    Not nested: chain r is in all wells, in which what it does is correlated too, as in a ladder.
    """

    def run(seed, scale):
        found, n_chains = [], 16
        rng = np.random.default_rng(seed)
        for _ in range(120 * scale):
            y = autoregressive(rng, 3, n_chains, 60)
            if not nested:
                y = (y + autoregressive(rng, 1, n_chains, 60)) / math.sqrt(2)
            x = (CENTRE[:3, None, None] + STIFFNESS[:3, None, None] ** -0.5 * y).ravel()
            labels = np.arange(3 * n_chains) if nested else np.tile(np.arange(n_chains), 3)
            clusters = np.repeat(labels, 60) if with_clusters else None
            u = energies(x, STIFFNESS[:3], CENTRE[:3])
            r = mbar_from_energies(u, np.full(3, n_chains * 60), clusters=clusters)
            a = r.expectation(x, 1)
            found.append(([*r.f_k[1:], a.value], [*r.stderr[1:], a.stderr]))
        values, errors = zip(*found, strict=True)
        return z_of(values, errors, [*F[1:3], CENTRE[1]])

    return run


@pytest.mark.parametrize("nested", [False, True], ids=["ladders", "chains"])
def test_correlated_samples(nested, seed, assert_unbiased, assert_rejected):
    """z of correlated samples has standard deviation 1 with clusters, and not without."""
    assert_unbiased(correlated(True, nested), seed)
    assert_rejected(correlated(False, nested), seed)


def test_infinite_energies():
    """A state that forbids half of the line: f = log 2, from samples of both."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=4000)
    x[2000:] = np.abs(x[2000:])
    u = np.stack([0.5 * x**2, np.where(x > 0, 0.5 * x**2, np.inf)])
    r = mbar_from_energies(u, [2000, 2000])
    assert abs(r.f_k[1] - math.log(2)) < 5 * r.stderr[1]
    assert 0 < r.stderr[1] < 0.1


# --- what cannot work -----------------------------------------------------------------------------


@pytest.mark.parametrize("distance", [30.0, 1e4])
def test_disconnected_states(distance):
    """Two wells and a third out of reach: it says which, and what to do."""
    rng = np.random.default_rng(1)
    centre = np.array([0.0, 1.0, distance])
    x = np.repeat(centre, 200) + rng.normal(size=600)
    u = energies(x, np.ones(3), centre)
    with pytest.raises(StatmechError, match=r"\[0, 1\] and \[2\]|\[2\] and \[0, 1\]") as caught:
        mbar_from_energies(u, [200, 200, 200])
    assert "Sample states in between" in str(caught.value)


def test_far_states_are_solved_from_a_bad_order():
    """Neighbours that hardly overlap, in an order that is no ladder."""
    rng = np.random.default_rng(1)
    centre = 4.0 * np.array([3, 0, 5, 1, 4, 2])
    x = np.repeat(centre, 500) + rng.normal(size=3000)
    u = energies(x, np.ones(6), centre) + 50.0 * np.arange(6)[:, None]
    r = mbar_from_energies(u, np.full(6, 500))
    np.testing.assert_allclose(r.f_k, 50.0 * np.arange(6), atol=5)
    assert r.overlap < 0.1


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"u_kn": np.array([[0.0, math.nan], [0.0, 1.0]])}, "NaN or -inf"),
        ({"u_kn": np.array([[0.0, -math.inf], [0.0, 1.0]])}, "NaN or -inf"),
        ({"u_kn": np.array([[0.0, math.inf], [0.0, math.inf]])}, "infinite energy in every state"),
        ({"u_kn": np.array([[0.0, 1.0], [math.inf, math.inf]]), "n_k": [2, 0]}, "knows? nothing"),
        ({"u_kn": np.zeros(2)}, "must be"),
        ({"u_kn": np.zeros((0, 2))}, "must be"),
        ({"u_kn": "energies"}, "real numbers"),
        ({"u_kn": [[1j, 0], [0, 0]]}, "real numbers"),
        ({"n_k": [1]}, "2 states"),
        ({"n_k": [1, 2]}, "add up"),
        ({"n_k": [3, -1]}, "add up"),
        ({"n_k": [0.5, 1.5]}, "add up"),
        ({"n_k": "ab"}, "real numbers"),
        ({"clusters": [0]}, "one label"),
        ({"clusters": [0, 1]}, "independent clusters"),
        ({"clusters": [0.0, math.nan]}, "NaN"),
        ({"chunk_size": 0}, "chunk_size"),
    ],
)
def test_bad_arrays(change, match):
    given = {"u_kn": np.array([[0.0, 1.0], [0.5, 0.0]]), "n_k": [1, 1]} | change
    with pytest.raises(InvalidInput, match=match):
        mbar_from_energies(given.pop("u_kn"), given.pop("n_k"), **given)


def test_few_clusters_in_a_state():
    x, u, _ = solved()
    clusters = np.arange(len(x)) % 60
    clusters[:400] = 0
    with pytest.raises(InvalidInput, match="state 0 has samples of one alone"):
        mbar_from_energies(u, COUNTS, clusters=clusters)


def test_bad_questions():
    x, u, r = solved()
    for a_n, u_n, match in [
        (x[1:], 0, "one value is needed"),
        (np.full(len(x), math.nan), 0, "NaN or infinity"),
        (x, 4, "does not exist"),
        (x, x[1:], "one for each"),
        (x, np.full(len(x), math.nan), "NaN"),
        (x, np.full(len(x), math.inf), "know nothing"),
        ("x", 0, "real numbers"),
    ]:
        with pytest.raises(InvalidInput, match=match):
            r.expectation(a_n, u_n)
    with pytest.raises(InvalidInput, match="one for each"):
        r.free_energies(u[:, 1:])


# --- along a path ---------------------------------------------------------------------------------

TORUS = Tempering(Ising(lattices.square(4, 4)), beta=0.44)


@functools.cache
def machine():
    rng = np.random.default_rng(1)
    return BernoulliRBM(rng.normal(size=6), rng.normal(size=5), 0.8 * rng.normal(size=(6, 5)))


PATHS = {
    "torus": (TORUS, lambda: kaufman.log_z(4, 4, 0.44)),
    "RBM": (Weights(machine()), lambda: exact_sum(machine()).value),
}


@pytest.mark.parametrize("exchange", [False, True])
@pytest.mark.parametrize("name", PATHS)
def test_runner(name, exchange, seed, assert_unbiased):
    path, exact = PATHS[name]

    def run(seed, scale):
        seeds = np.random.SeedSequence(seed).generate_state(6 * scale)
        found = [mbar(path, 5, rng=int(s), n_draws=60, exchange=exchange) for s in seeds]
        assert all(r.ok for r in found)
        return np.array([np.mean([r.z(exact()) for r in found]) * math.sqrt(len(found))])

    assert_unbiased(run, seed)


def test_runner_reports():
    r = mbar(TORUS, 4, 8, rng=1, n_draws=40, burn_in=10, exchange=True)
    about = r.diagnostics
    assert about["cost"]["sweeps"] == 8 * (4 * 10 + 2 * 5 * 40)
    assert about["cost"]["energy_evaluations"] == 2 * 8 * 5 * 40
    assert about["overlap_matrix"].shape == (5, 5)
    assert about["swap_acceptance"].shape == (4,)
    assert about["tau"].shape == about["n_effective"].shape == (5,)
    assert about["log_z"][0] == TORUS.log_z_reference
    assert about["log_z"][-1] == r.value
    assert about["round_trips"] > 0
    again = mbar(TORUS, 4, 8, rng=1, n_draws=40, burn_in=10, exchange=True)
    assert (again.value, again.stderr) == (r.value, r.stderr)


def test_runner_without_overlap():
    """Two levels of a cold lattice are too far apart: a status or an error, and no number alone."""
    cold = Tempering(Ising(lattices.square(16, 16)), beta=2.0)
    with pytest.raises(StatmechError, match="share no samples"):
        mbar(cold, 1, rng=1, n_draws=20, burn_in=5)
    assert mbar(Tempering(Ising(lattices.square(4)), beta=1.0), 1, rng=1).status == "low overlap"


def test_states_that_differ_by_a_constant():
    """f is exact then and the samples cannot know it: 1 / n, never 0."""
    e = np.arange(100.0)
    r = mbar_from_energies([e, e + 3.0, e - 1.0], [50, 25, 25])
    assert (r.status, r.ok) == ("constant weights", False)
    np.testing.assert_allclose(r.stderr[1:], 1 / 25)
    assert r.difference(1, 2) == (pytest.approx(-4.0), pytest.approx(1 / 25))
    assert solved()[2].ok


def test_status_of_little_overlap():
    rng = np.random.default_rng(1)
    u = np.zeros((2, 800))
    u[1] = np.concatenate([rng.normal(18.0, 6.0, 400), -rng.normal(18.0, 6.0, 400)])
    assert mbar_from_energies(u, [400, 400]).status == "low overlap"


def test_rounding_gives_no_nan():
    """A variance of 1e-33 may round below zero."""
    mixture = GaussianMixture([0.9, 0.1], [[0.0], [7.0]], [1.0, 0.2])
    r = mbar(Geometric(Gaussian(stddev=1.0), mixture), 16, 16, rng=0, n_draws=100)
    assert np.isfinite(r.diagnostics["log_z_stderr"]).all()
    np.testing.assert_array_equal(roots(np.diag([-1e-33, 4.0])), [0.0, 2.0])


@pytest.mark.parametrize("bad", [np.ones((2, 10)) * 1j, np.full((2, 10), "1")])
def test_energies_are_real_numbers(bad):
    with pytest.raises(InvalidInput, match="real numbers"):
        mbar_from_energies(bad, [5, 5])
    with pytest.raises(InvalidInput, match="real numbers"):
        TemperedEnergies([0.1], bad[0])


def test_inefficiency_of_copies():
    """Every sample four times over, as clusters of four: four times the variance."""
    _, u, r = solved()
    labels = np.repeat(np.arange(u.shape[1]), 4)
    copies = mbar_from_energies(np.repeat(u, 4, axis=1), 4 * COUNTS, clusters=labels)
    np.testing.assert_allclose(copies.inefficiency[1:], 4.0, rtol=0.2)
    np.testing.assert_array_equal(r.inefficiency, 1.0)


def test_runner_with_constant_energies():
    r = mbar(Tempering(Ising(lattices.square(4)), beta=0.0), 2, rng=1)
    assert r.status == "constant weights"
    assert r.stderr > 0
    assert r.value == pytest.approx(16 * math.log(2))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"path": "torus"}, "needs a path"),
        ({"n_chains": 0}, "n_chains"),
        ({"n_chains": 3}, "n_chains"),
        ({"n_draws": 1}, "n_draws"),
        ({"n_draws": 20.0}, "n_draws"),
        ({"burn_in": 0}, "burn_in"),
        ({"thin": "2"}, "thin"),
        ({"n_levels": 0}, "n_levels"),
        ({"ladder": [0.1, 1.0]}, "must start at 0"),
        ({"ladder": [0.0, 0.5, 1.0], "n_levels": 2}, "Give one of"),
        ({"exchange": "yes"}, "exchange"),
        ({"path": Geometric(Gaussian(), DoubleWell(), sampler=ULA(0.1))}, "invariant"),
    ],
)
def test_bad_runs(change, match):
    given = {"path": TORUS, "rng": 1} | change
    with pytest.raises(InvalidInput, match=match):
        mbar(given.pop("path"), **given)


# --- pymbar ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pymbar():
    import contextlib
    import io
    import logging
    import warnings

    logging.getLogger("pymbar").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        return pytest.importorskip("pymbar")


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_pymbar_agrees(pymbar):
    x, u, r = solved()
    peer = pymbar.MBAR(u, COUNTS)
    found = peer.compute_free_energy_differences()
    np.testing.assert_allclose(r.f_k, found["Delta_f"][0], atol=1e-10)
    np.testing.assert_allclose(r.stderr, found["dDelta_f"][0], atol=1e-10)
    np.testing.assert_allclose(r.overlap_matrix, peer.compute_overlap()["matrix"], atol=1e-10)
    other = 0.5 * 2.5 * (x - 0.8) ** 2
    expected = peer.compute_expectations(x, other)
    ours = r.expectation(x, other)
    assert ours.value == pytest.approx(float(expected["mu"][0]), abs=1e-10)
    assert ours.stderr == pytest.approx(float(expected["sigma"][0]), abs=1e-10)
    both = peer.compute_perturbed_free_energies(np.stack([u[0], other]))
    new = r.free_energies(np.stack([u[0], other]))
    assert new.f[1] - new.f[0] == pytest.approx(both["Delta_f"][0, 1], abs=1e-10)
    assert math.sqrt(new.covariance[1, 1]) == pytest.approx(both["dDelta_f"][0, 1], abs=1e-10)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_pymbar_agrees_on_twenty_states(pymbar):
    """20 states x 2000 samples, the size of the benchmark."""
    rng = np.random.default_rng(4)
    stiffness, centre = np.linspace(1, 4, 20), np.linspace(0, 3, 20)
    x = np.repeat(centre, 2000) + np.repeat(stiffness**-0.5, 2000) * rng.normal(size=40_000)
    u = energies(x, stiffness, centre)
    r = mbar_from_energies(u, np.full(20, 2000))
    found = pymbar.MBAR(u, np.full(20, 2000)).compute_free_energy_differences()
    np.testing.assert_allclose(r.f_k, found["Delta_f"][0], atol=1e-10)
    np.testing.assert_allclose(r.stderr, found["dDelta_f"][0], atol=1e-10)
