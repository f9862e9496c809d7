"""Reweighting of lattice data: exact answers, honest errors, and where the data do not reach."""

import functools
import math

import numpy as np
import pytest

from statmech_ml import lattices, sample
from statmech_ml.errors import InvalidInput, ShortChain, StatmechError
from statmech_ml.exact import enumeration, kaufman
from statmech_ml.models import BernoulliRBM, Ising
from statmech_ml.partition import multiple_histogram
from statmech_ml.samplers import BlockGibbs, HeatBath, ReplicaExchange, SwendsenWang

TORUS = Ising(lattices.square(8, 8))
BETAS = [0.3, 0.38, 0.44]


@functools.cache
def small():
    """Energies and magnetisations of the 4x4 torus, all states, with their weights at beta."""
    model = Ising(lattices.square(4, 4))
    states = enumeration.states(model.space)
    return model.energy(states), states.sum(axis=1, dtype=np.float64)


def exact_small(name, beta):
    e, m = small()
    w = np.exp(-beta * (e - e.min()))
    w /= w.sum()
    values = {
        "abs_magnetization": w @ np.abs(m) / 16,
        "magnetization": 0.0,
        "susceptibility": beta * (w @ m**2 - (w @ np.abs(m)) ** 2) / 16,
        "binder": 1 - (w @ m**4) / (3 * (w @ m**2) ** 2),
        "energy": w @ e,
    }
    return float(values[name])


def independent(rng, betas, n_chains, n_draws):
    """Exact independent draws of the 4x4 torus at each beta."""
    e, m = small()
    found = []
    for beta in betas:
        w = np.exp(-beta * (e - e.min()))
        pick = np.searchsorted(np.cumsum(w / w.sum()), rng.random((n_chains, n_draws)))
        found.append((e[pick], m[pick]))
    energies, moments = zip(*found, strict=True)
    return list(energies), list(moments)


def z_of(z):
    z = np.asarray(z)
    n = len(z)
    spread = (z.std(axis=0, ddof=1) - 1.0) * math.sqrt(2.0 * n)
    return np.concatenate([z.mean(axis=0) * math.sqrt(n), spread])


NAMES = ("abs_magnetization", "magnetization", "susceptibility", "binder", "energy")


def reweighted(beta_of=lambda beta: beta, shrink=1.0):
    """z of every quantity of the 4x4 torus at beta = 0.4, from data at 0.3 and 0.5."""

    def run(seed, scale):
        rng = np.random.default_rng(seed)
        found = []
        for _ in range(12 * scale):
            energies, moments = independent(rng, [0.3, 0.5], 30, 30)
            data = multiple_histogram(
                energies,
                [beta_of(0.3), beta_of(0.5)],
                magnetization=moments,
                n_sites=16,
                reference=(0.3, kaufman.log_z(4, 4, 0.3)),
            )
            z = [data.estimate(name, 0.4).z(exact_small(name, 0.4)) for name in NAMES]
            z.append(data.estimate("energy_per_site", 0.4).z(kaufman.energy_per_site(4, 4, 0.4)))
            z.append(data.estimate("specific_heat", 0.4).z(kaufman.specific_heat(4, 4, 0.4)))
            z.append(data.log_z(0.4).z(kaufman.log_z(4, 4, 0.4)))
            found.append(np.array(z) / shrink)
        return z_of(found)

    return run


def test_every_quantity(seed, assert_unbiased):
    assert_unbiased(reweighted(), seed)


@pytest.mark.parametrize(
    "wrong", [{"beta_of": lambda beta: 0.97 * beta}, {"shrink": 0.4}], ids=["betas", "errors"]
)
def test_mutants(wrong, seed, assert_rejected):
    assert_rejected(reweighted(**wrong), seed)


SAMPLERS = {
    "clusters": (SwendsenWang(), BETAS * 8),
    "few chains, blocks of time": (SwendsenWang(), BETAS),
    "replica exchange": (ReplicaExchange(HeatBath()), np.tile(BETAS, 8)),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_kaufman(name, seed, assert_unbiased):
    """The 8x8 torus between, at, and a little outside the simulated temperatures."""
    sampler, betas = SAMPLERS[name]

    def run(seed, scale):
        n_draws = 4000 * len(BETAS) // len(betas) * scale
        chain = sample(
            TORUS, sampler, beta=betas, n_draws=n_draws, burn_in=100, rng=seed, keep_states=False
        )
        data = multiple_histogram(chain, reference=(0.3, kaufman.log_z(8, 8, 0.3)))
        z = []
        for beta in (0.33, 0.38, 0.41, 0.45):
            z.append(data.log_z(beta).z(kaufman.log_z(8, 8, beta)))
            z.append(data.estimate("energy_per_site", beta).z(kaufman.energy_per_site(8, 8, beta)))
            z.append(data.estimate("specific_heat", beta).z(kaufman.specific_heat(8, 8, beta)))
        return np.array(z)

    assert_unbiased(run, seed)


@pytest.mark.slow
def test_kaufman_16(seed, assert_unbiased):
    def run(seed, scale):
        chain = sample(
            Ising(lattices.square(16, 16)),
            SwendsenWang(),
            beta=[0.0, 0.15, 0.25, 0.32, 0.37, 0.4, 0.42, 0.44, 0.46] * 4,
            n_draws=2000 * scale,
            rng=seed,
            keep_states=False,
        )
        data = multiple_histogram(chain, reference=(0.0, 256 * math.log(2)))
        return np.array([data.log_z(b).z(kaufman.log_z(16, 16, b)) for b in (0.1, 0.3, 0.43)])

    assert_unbiased(run, seed)


@functools.cache
def chain():
    return sample(TORUS, SwendsenWang(), beta=BETAS * 8, n_draws=200, rng=1, keep_states=False)


def test_a_chain_is_its_arrays():
    c = chain()
    energies = [c.at(beta).energy for beta in BETAS]
    moments = [c.at(beta).observables["magnetization"] for beta in BETAS]
    order = [2, 0, 1]
    data = multiple_histogram(
        [energies[k] for k in order],
        [BETAS[k] for k in order],
        magnetization=[moments[k] for k in order],
        n_sites=64,
    )
    whole = multiple_histogram(c)
    np.testing.assert_array_equal(data.log_z_k, whole.log_z_k)
    for name in ("specific_heat", "binder", "energy"):
        assert data.estimate(name, 0.4) == whole.estimate(name, 0.4)


def test_log_z_without_a_reference_is_a_difference():
    relative = multiple_histogram(chain())
    known = kaufman.log_z(8, 8, 0.3)
    absolute = multiple_histogram(chain(), reference=(0.3, known))
    a, b = relative.log_z(0.4), absolute.log_z(0.4)
    assert b.value - a.value == pytest.approx(known)
    assert a.stderr == pytest.approx(b.stderr)
    assert a.ok
    assert str(a).endswith(f"ess {a.diagnostics['ess']:.0f}/4800]")
    np.testing.assert_allclose(absolute.log_z_k - relative.log_z_k, known)
    elsewhere = multiple_histogram(chain(), reference=(0.35, 1.0))
    assert elsewhere.log_z(0.3).value == pytest.approx(elsewhere.log_z_k[0])


def test_one_temperature(seed):
    """The single-histogram method."""
    e, m = independent(np.random.default_rng(seed), [0.4], 40, 100)
    data = multiple_histogram(e, [0.4], magnetization=m, n_sites=16)
    assert abs(data.estimate("energy_per_site", 0.38).z(kaufman.energy_per_site(4, 4, 0.38))) < 5


def test_out_of_reach():
    """An antiferromagnet from ferromagnetic data: a status for log Z, else an error."""
    data = multiple_histogram(chain())
    assert data.ess(0.4) > 1000
    assert data.ess(-0.4) < 50
    assert data.log_z(-0.4).status == "low ess"
    with pytest.raises(StatmechError, match=r"out of reach.*Simulate nearer"):
        data.estimate("energy_per_site", -0.4)


def test_gap_between_temperatures():
    c = sample(Ising(lattices.square(24)), SwendsenWang(), beta=[0.1, 1.0] * 4, n_draws=60, rng=1)
    with pytest.raises(StatmechError, match="share no samples"):
        multiple_histogram(c, on_short="accept")


def test_short_data():
    c = sample(TORUS, HeatBath(), beta=BETAS, n_draws=100, rng=1)
    with pytest.raises(ShortChain, match="20 independent blocks") as caught:
        multiple_histogram(c)
    partial = caught.value.partial
    assert partial.n_clusters == 20
    assert multiple_histogram(c, on_short="accept").log_z(0.4) == partial.log_z(0.4)


def test_time_blocks_grow_with_tau():
    """Slow data have fewer clusters than fast ones."""
    fast = sample(TORUS, SwendsenWang(), beta=[0.44, 0.40], n_draws=4000, rng=1)
    slow = sample(TORUS, HeatBath(), beta=[0.44, 0.40], n_draws=4000, rng=1)
    a, b = multiple_histogram(fast), multiple_histogram(slow, on_short="accept")
    assert a.tau_int < b.tau_int
    assert a.n_clusters > b.n_clusters


def rbm_chain():
    rng = np.random.default_rng(1)
    rbm = BernoulliRBM(rng.normal(size=4), rng.normal(size=3), rng.normal(size=(4, 3)))
    return sample(rbm, BlockGibbs(), beta=[0.5, 1.0], n_draws=50, rng=1)


E = [np.arange(40.0).reshape(2, 20), np.arange(40.0).reshape(2, 20)]


@pytest.mark.parametrize(
    ("data", "more", "match"),
    [
        (rbm_chain, {}, "not beta times its energy"),
        (chain, {"betas": [0.3]}, "knows its betas"),
        (E, {}, "need betas="),
        (E, {"betas": [0.1]}, "2 arrays for 1"),
        (E, {"betas": [0.1, math.nan]}, "finite"),
        (E, {"betas": [0.1, "cold"]}, "not one number"),
        ([E[0], E[1] * math.nan], {"betas": [0.1, 0.2]}, "NaN or infinite"),
        ([], {"betas": []}, "list"),
        ("energies", {"betas": [0.1]}, "list"),
        (E, {"betas": [0.1, 0.2], "magnetization": E[:1]}, "differ in shape"),
        (E, {"betas": [0.1, 0.2], "n_sites": 0}, "n_sites"),
        (E, {"betas": [0.1, 0.2], "reference": 3.0}, "pair"),
        (E, {"betas": [0.1, 0.2], "reference": (0.0, math.inf)}, "finite"),
        (E, {"betas": [0.1, 0.2], "on_short": "ignore"}, "on_short"),
    ],
)
def test_bad_data(data, more, match):
    with pytest.raises(InvalidInput, match=match):
        multiple_histogram(data() if callable(data) else data, **more)


def test_bad_questions():
    e, _ = independent(np.random.default_rng(1), [0.4], 40, 100)
    data = multiple_histogram(e, [0.4])
    for ask, match in [
        (lambda: data.estimate("binder", 0.4), "n_sites"),
        (lambda: data.estimate("colour", 0.4), "unknown"),
        (lambda: data.estimate("energy", math.nan), "finite"),
        (lambda: data.estimate("energy", [0.4, 0.5]), "one number"),
        (lambda: data.log_z(0.4), "reference itself"),
        (lambda: multiple_histogram(e, [0.4], n_sites=16).estimate("binder", 0.4), "magnetization"),
    ]:
        with pytest.raises(InvalidInput, match=match):
            ask()
    with pytest.raises(StatmechError, match="does not fluctuate"):
        multiple_histogram(e, [0.4], n_sites=16).estimate("specific_heat", 0.0)


def test_energies_that_do_not_change():
    """Never 0 +- 0: what no draw has met may weigh one in n."""
    same = multiple_histogram(np.ones((4, 300)), [0.1, 0.2, 0.3, 0.4], on_short="accept")
    r = same.log_z(0.15)
    assert (r.value, r.stderr) == (pytest.approx(-0.05), 1 / 1200)
    assert r.status == "constant weights"
    rare = -32.0 + np.zeros((2, 8, 300))
    rare[:, ::3, 7] = -24.0
    r = multiple_histogram(rare, [3.0, 4.0], on_short="accept").log_z(3.5)
    assert r.status == "constant weights"
    assert r.stderr >= 1 / 4800


def test_which_beta_is_no_number():
    with pytest.raises(InvalidInput, match=r"betas\[1\]=nan"):
        multiple_histogram(np.zeros((2, 300)), [0.1, math.nan])
