"""Hamiltonian Monte Carlo: the leapfrog, its identities, the laws it leaves, and its warm-up."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from statistical import _replaced, assert_distribution, assert_refuted, chi_square, mutant

from statmech_ml import sample
from statmech_ml._jit import Kernel, jit
from statmech_ml.chains import Chain
from statmech_ml.errors import EquilibrationWarning, InvalidInput, MissingCapability
from statmech_ml.exact import quadrature
from statmech_ml.exact.langevin import leapfrog_variance
from statmech_ml.models import (
    DoubleWell,
    Funnel,
    Gaussian,
    GaussianMixture,
    LogDensity,
    Quartic,
    Rosenbrock,
)
from statmech_ml.partition import Geometric, ais
from statmech_ml.samplers import HMC, ReplicaExchange, _hamiltonian, hmc
from statmech_ml.samplers._adaptation import DualAveraging, Variances, windows

CURVED = Rosenbrock(a=1.0, b=1.0, mu=0.5)
MIXTURE = GaussianMixture([1.0, 2.0], [[-0.8, 0.2], [1.0, 0.0]], [0.3, 0.8])


def in_batches(model):
    """The same energy and gradient, without compiled arrays."""
    return LogDensity(
        lambda x: -model.energy(x), model.space.size, lambda x: -model.reduced_gradient(x, 1.0)
    )


def with_leapfrog(right, wrong):
    """The kernel `trajectories` on a leapfrog with one piece of its source replaced."""
    inner, chain, outer = (
        getattr(_hamiltonian, name).py_func
        for name in ("leapfrog", "trajectories_of_chain", "trajectories")
    )
    leapfrog = jit(_replaced(inner, right, wrong, dict(inner.__globals__)))
    own = jit(_replaced(chain, "", "", chain.__globals__ | {"leapfrog": leapfrog}))
    return Kernel(_replaced(outer, "", "", outer.__globals__ | {"trajectories_of_chain": own}))


# --- the leapfrog ---------------------------------------------------------------------------------


def flow(model, x, z, eps, n_steps, beta=0.7):
    """(x, z) after n steps, in plain Python; masses differ from 1."""
    x, z, force = x.copy(), z.copy(), np.empty(len(x))
    scale = np.linspace(0.7, 1.3, len(x))
    model.arrays.gradient(x, force)
    force *= beta
    _hamiltonian.leapfrog.py_func(model.arrays, x, z, force, beta, eps, scale, n_steps)
    return x, z


POINTS = [(CURVED, [0.4, 0.9]), (MIXTURE, [0.3, -0.5]), (DoubleWell(tilt=0.3, dim=2), [-0.6, 0.8])]
MOMENTUM = np.array([0.8, -0.5])


@pytest.mark.parametrize(("model", "x"), POINTS, ids=repr)
def test_a_trajectory_turned_round_comes_back(model, x):
    start = np.array(x)
    end, z = flow(model, start, MOMENTUM, 0.1, 12)
    assert np.abs(end - start).max() > 0.1
    back, z = flow(model, end, -z, 0.1, 12)
    assert back == pytest.approx(start, rel=0, abs=1e-12)
    assert -z == pytest.approx(MOMENTUM, rel=0, abs=1e-12)


@pytest.mark.parametrize(("model", "x"), POINTS, ids=repr)
def test_a_trajectory_preserves_volume(model, x):
    """The determinant of d(x', z')/d(x, z), by central differences of error delta^2."""
    point, delta, columns = np.concatenate([x, MOMENTUM]), 1e-5, []
    for i in range(4):
        ends = [point + sign * delta * np.eye(4)[i] for sign in (1, -1)]
        ahead, behind = (np.concatenate(flow(model, p[:2], p[2:], 0.15, 5)) for p in ends)
        columns.append((ahead - behind) / (2 * delta))
    jacobian = np.stack(columns, axis=1)
    assert np.abs(jacobian - np.eye(4)).max() > 0.1
    assert np.linalg.det(jacobian) == pytest.approx(1.0, rel=0, abs=1e-7)


@pytest.mark.parametrize(("model", "x"), POINTS, ids=repr)
def test_the_energy_error_falls_as_the_square_of_the_step(model, x):
    """Over the same time; the next order is eps^4."""

    def error(eps, beta=0.7):
        end, z = flow(model, np.array(x), MOMENTUM, eps, round(0.64 / eps), beta)
        change = model.reduced_energy(end, beta) - model.reduced_energy(np.array(x), beta)
        return float(change + 0.5 * (z @ z - MOMENTUM @ MOMENTUM))

    coarse, fine = error(0.02), error(0.01)
    assert abs(coarse) > 1e-7
    assert coarse / fine == pytest.approx(4.0, rel=0.01)


@pytest.mark.parametrize(
    ("n_steps", "jitter", "lengths"),
    [
        (10, 0.5, (5, 15)), (10, 0.25, (8, 12)), (10, 0.0, (10, 10)), (1, 0.5, (1, 1)),
        (10, 0.05, (9, 11)), (10, 1e-3, (9, 11)), (2, 0.3, (1, 3)), (3, 0.3, (2, 4)),
    ],
)  # fmt: skip
def test_any_jitter_is_of_one_step_at_least(n_steps, jitter, lengths):
    assert HMC(n_steps=n_steps, jitter=jitter).lengths == lengths
    assert sum(lengths) == 2 * n_steps


# --- identities and laws --------------------------------------------------------------------------


def identity(model, eps, n_sweeps):
    """z of <exp(-dH)> = 1 and, weighted so, of <x> and <x^2>, from exact draws."""

    def run(seed, scale):
        n = 40_000 * scale
        exact = model.draws(seed + 9, np.arange(n, dtype=np.uint32))
        sampler = HMC(eps, 3, adjusted=False, mass=(1.0, 1.7))
        start = model.draws(seed, np.arange(n, dtype=np.uint32))
        state = sampler.init(model, n, seed + 1, start)
        state, info = sampler.advance(model, state, np.ones(n), n_sweeps)
        weight = np.exp(info["correction"])
        values = [weight - 1.0]
        for power in (1, 2):
            values.append(weight * state.x[:, 0] ** power - exact[:, 0] ** power)
        values = np.stack(values)
        return values.mean(axis=1) / (values.std(axis=1) / np.sqrt(n))

    return run


@pytest.mark.parametrize(
    ("model", "eps", "n_sweeps"),
    [(MIXTURE, 0.3, 1), (Funnel(2, 0.5), 0.25, 2)],
    ids=["mixture", "funnel"],
)
def test_the_exponential_of_minus_the_energy_error_averages_to_one(
    model, eps, n_sweeps, seed, assert_unbiased
):
    assert_unbiased(identity(model, eps, n_sweeps), seed)


def test_a_wrong_energy_error_is_rejected(seed, monkeypatch, assert_rejected):
    """Any map that preserves volume has <exp(-dH)> = 1, so wrong kicks show in the laws below."""
    wrong = mutant(_hamiltonian.trajectories, "(new_u + 0.5 * end)", "(new_u + 0.45 * end)")
    monkeypatch.setattr(hmc, "trajectories", wrong)
    assert_rejected(identity(MIXTURE, 0.3, 1), seed)


ETA, STIFFNESS = 0.9, 1.5
LAW = Gaussian(mean=0.4, stddev=STIFFNESS**-0.5)


def leapfrog_states(variance, **settings):
    """p-value of states without accept/reject against a normal law of this variance."""

    def run(seed, scale):
        n, bins = 40_000 * scale, 40
        sampler = HMC(ETA, adjusted=False, **settings)
        state = sampler.init(LAW, n, seed)
        state = sampler.advance(LAW, state, np.ones(n), 30)[0]
        u = norm.cdf(state.x[:, 0], 0.4, np.sqrt(variance))
        cells = np.minimum((u * bins).astype(int), bins - 1)
        counts = np.bincount(cells, minlength=bins)
        return {"states": chi_square(counts, np.full(bins, 1 / bins))}

    return run


@pytest.mark.parametrize("settings", [{"n_steps": 1}, {"n_steps": 5}], ids=repr)
def test_without_rejections_the_variance_is_that_of_the_leapfrog(settings, seed):
    """1 / (k (1 - eps^2 k / 4)) on u = k x^2 / 2: 1/(1 - eps^2/4) on N(0, 1)."""
    law = leapfrog_variance(ETA, STIFFNESS)
    assert law == pytest.approx(1 / (STIFFNESS * (1 - ETA**2 * STIFFNESS / 4)))
    assert_distribution(leapfrog_states(law, **settings), seed)


def test_without_rejections_the_exact_variance_is_refuted(seed):
    assert_refuted(leapfrog_states(1 / STIFFNESS, n_steps=5), seed)


def uniforms(model, x, beta):
    """Independent uniforms (chain, 2) that x is made of: by the conditional laws of the models."""
    if isinstance(model, Rosenbrock):
        a, b, mu, _ = model.arrays
        first = (x[:, 0] - mu) * np.sqrt(2 * a * beta)
        second = (x[:, 1] - x[:, 0] ** 2) * np.sqrt(2 * b * beta)
    else:
        stddev, slope = model.arrays.stddev, 0.5 * (1 - beta) * (model.space.size - 1)
        first = (x[:, 0] - slope * stddev**2 / beta) * np.sqrt(beta) / stddev
        second = x[:, 1] * np.exp(-0.5 * x[:, 0]) * np.sqrt(beta)
    return norm.cdf(np.stack([first, second], axis=1))


def final_states(model, sampler, n_sweeps, beta=0.7, judged_at=None):
    """p-value of the final states of many chains, in cells of equal probability."""

    def run(seed, scale):
        n, bins = 10_000 * scale, 12
        state = sampler.init(model, n, seed)
        state = sampler.advance(model, state, np.full(n, beta), n_sweeps)[0]
        u = uniforms(model, state.x, judged_at or beta)
        cells = np.minimum((u * bins).astype(int), bins - 1) @ [bins, 1]
        counts = np.bincount(cells, minlength=bins**2)
        return {"states": chi_square(counts, np.full(bins**2, bins**-2.0))}

    return run


STEPS, ONE_STEP = HMC(0.15, 7, mass=(0.6, 1.3)), HMC(0.25, 1)


@pytest.mark.parametrize(
    ("model", "sampler", "n_sweeps"),
    [(CURVED, STEPS, 100), (CURVED, ONE_STEP, 800), (Funnel(3, 0.7), HMC(0.15, 7), 100)],
)
def test_the_law_on_curved_targets(model, sampler, n_sweeps, seed):
    assert_distribution(final_states(model, sampler, n_sweeps), seed)


WRONG = {
    "accepts too often": ("< -error", "< 1.0 - error"),
    "kinetic energy forgotten": ("(new_u + 0.5 * end) - (u + 0.5 * start)", "new_u - u"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_kernel_is_refuted(name, seed, monkeypatch):
    monkeypatch.setattr(hmc, "trajectories", mutant(_hamiltonian.trajectories, *WRONG[name]))
    assert_refuted(final_states(CURVED, replace(STEPS, step_size=0.4), 60), seed)


def test_a_lost_half_kick_is_refuted(seed, monkeypatch):
    """Accept/reject cannot mend a trajectory that is not its own reverse."""
    lost = with_leapfrog(
        "0.5 * step * scale[i] * force[i]\n            x[i]", "0.0\n            x[i]"
    )
    monkeypatch.setattr(hmc, "trajectories", lost)
    assert_refuted(final_states(CURVED, ONE_STEP, 800), seed)


def test_another_temperature_is_refuted(seed):
    assert_refuted(final_states(CURVED, STEPS, 100, judged_at=0.8), seed)


def test_a_whole_period_returns_and_jitter_breaks_it():
    """On N(0, 1) an orbit has 2 pi / (2 asin(eps / 2)) steps: here 10."""
    model, n = Gaussian(), 2000
    state = HMC().init(model, n, seed=1)
    locked = HMC(2 * np.sin(np.pi / 10), 10, adjusted=False, jitter=0.0)
    x = locked.advance(model, state, np.ones(n), 5)[0].x
    assert x == pytest.approx(state.x, abs=1e-10)
    x = replace(locked, jitter=0.5).advance(model, state, np.ones(n), 5)[0].x
    assert abs(np.corrcoef(x[:, 0], state.x[:, 0])[0, 1]) < 0.2  # ten standard errors
    assert HMC(n_steps=10).lengths == (5, 15)
    assert HMC(n_steps=10, jitter=0.0).lengths == (10, 10)
    assert HMC(n_steps=1, jitter=0.9).lengths == (1, 1)


# --- twins ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sampler",
    [HMC(0.2, 5, mass=(0.5, 2.0)), HMC(0.15, 3, adjusted=False), HMC(2.0, 4, jitter=0.9)],
    ids=repr,
)
@pytest.mark.parametrize("model", [CURVED, MIXTURE, Quartic(2, tilt=0.3)], ids=repr)
def test_the_twin_makes_the_trajectories_of_the_kernel(sampler, model):
    n = 30
    beta = np.linspace(0.3, 1.5, n)
    state = sampler.init(model, n, seed=2**63 + 5)
    state = state._replace(x=0.3 * state.x, sweep=2**33)
    compiled, info = sampler.advance(model, state, beta, 10)
    batched, other = sampler.advance(in_batches(model), state, beta, 10)
    assert batched.x == pytest.approx(compiled.x, rel=1e-8, abs=1e-8)
    for name in info:
        finite = np.abs(info[name]) < 1e6  # what diverges does so in its own way
        assert np.array_equal(finite, np.abs(other[name]) < 1e6)
        assert other[name][finite] == pytest.approx(info[name][finite], rel=1e-6, abs=1e-6)


def test_settings_of_single_chains():
    steps, masses = (0.1, 0.2, 0.3), ((1.0, 2.0), (0.5, 0.5), (3.0, 1.0))
    sampler = HMC(steps, 4, mass=masses)
    state = sampler.init(CURVED, 3, seed=1)
    moved = sampler.advance(CURVED, state, np.ones(3), 4)[0].x
    for c in range(3):
        alone = HMC(steps[c], 4, mass=masses[c]).advance(CURVED, state, np.ones(3), 4)[0].x
        assert moved[c].tolist() == alone[c].tolist()
    part = sampler.of_chains(np.array([2, 0]))
    assert (part.step_size, part.mass) == ((0.3, 0.1), (masses[2], masses[0]))
    assert HMC(0.1, mass=(1.0, 2.0)).of_chains(np.array([0])) == HMC(0.1, mass=(1.0, 2.0))


# --- what is watched ------------------------------------------------------------------------------


def test_info_says_what_happened():
    state = HMC().init(MIXTURE, 6, seed=4)
    info = HMC(0.2).advance(MIXTURE, state, np.ones(6), 5)[1]
    assert set(info) == {"acceptance", "energy_error", "divergences", "effective_temperature"}
    assert (info["effective_temperature"] == 1.0).all()
    free = HMC(0.2, adjusted=False)
    through = free.advance(MIXTURE, state, np.ones(6), 5)[1]
    assert through["correction"] == pytest.approx(-5 * through["energy_error"])
    first, one = free.advance(MIXTURE, state, np.ones(6), 2)
    two = free.advance(MIXTURE, first, np.ones(6), 3)[1]
    assert through["correction"] == pytest.approx(one["correction"] + two["correction"], rel=1e-9)


def test_the_kinetic_temperature_is_one(seed, assert_unbiased):
    """Where the leapfrog's own law is kept, momenta at the ends are standard normals again."""

    def run(seed, scale):
        n = 20_000 * scale
        sampler = HMC(ETA, 4, adjusted=False)
        state = sampler.advance(LAW, sampler.init(LAW, n, seed), np.ones(n), 20)[0]
        kinetic = sampler.advance(LAW, state, np.ones(n), 1)[1]["kinetic_temperature"]
        return (kinetic.mean() - 1.0) / (kinetic.std() / np.sqrt(n))

    assert_unbiased(run, seed)


def test_only_with_rejections_is_the_law_exact():
    assert HMC().invariant
    assert not HMC(adjusted=False).invariant
    assert HMC().reversible
    with pytest.raises(InvalidInput, match="does not leave its law invariant"):
        ReplicaExchange(HMC(adjusted=False))


@pytest.mark.parametrize("batched", [False, True])
def test_trajectories_that_all_diverge_are_counted_and_told(batched):
    model = in_batches(Quartic(2)) if batched else Quartic(2)
    sampler = HMC(100.0, 4, adapt=False)
    state = sampler.init(model, 3, seed=1)
    after, info = sampler.advance(model, state, np.ones(3), 4)
    assert (info["divergences"] == 1.0).all()
    assert (info["acceptance"] == 0.0).all()
    assert np.array_equal(after.x, state.x)
    told = r"3 of 3 chains never moved.*100% of the trajectories diverged.*smaller step_size"
    with pytest.warns(EquilibrationWarning, match=told):
        sample(model, sampler, beta=1.0, n_chains=3, n_draws=60, rng=1)
    with pytest.raises(InvalidInput, match=r"3 of 3 chains.*left the finite.*adjusted=True"):
        replace(sampler, adjusted=False).advance(model, state, np.ones(3), 20)


# --- the warm-up ----------------------------------------------------------------------------------


def adapted_law(n_sweeps, frozen):
    """p-value of final states where a warm-up of 100 sweeps is followed by fixed settings, or where
    every sweep changes each chain's step by its last acceptance, as adaptation left on would."""
    model, bins = GaussianMixture([1.0, 1.0], [[-0.6], [0.6]], [0.1, 0.8]), 40
    grid = np.linspace(-5, 5, 200_001)
    law = np.cumsum(np.exp(-model.energy(grid[:, None])))
    law /= law[-1]

    def run(seed, scale):
        n = 10_000 * scale
        sampler, state = HMC(0.3, 3).warm_up(
            model, HMC().init(model, n, seed), np.ones(n), 100 if frozen else 10
        )
        if frozen:
            state = sampler.advance(model, state, np.ones(n), n_sweeps)[0]
        else:
            log_step = np.full(n, np.log(0.3))
            for _ in range(n_sweeps):
                moving = replace(sampler, step_size=tuple(np.exp(log_step).tolist()))
                state, info = moving.advance(model, state, np.ones(n), 1)
                log_step += 0.5 * (np.exp(-np.maximum(info["energy_error"], 0.0)) - 0.8)
        cells = (np.interp(state.x[:, 0], grid, law) * bins).astype(int)
        counts = np.bincount(np.minimum(cells, bins - 1), minlength=bins)
        return {"states": chi_square(counts, np.full(bins, 1 / bins))}

    return run


def test_after_the_warm_up_the_law_is_exact(seed):
    assert_distribution(adapted_law(300, frozen=True), seed)


def test_adaptation_left_on_is_refuted(seed):
    assert_refuted(adapted_law(60, frozen=False), seed)


@pytest.mark.parametrize("burn_in", [20, 21, 37, 100, 333])
def test_the_last_quarter_runs_with_the_final_settings(burn_in):
    settings = []

    class Watched(HMC):
        def _trajectories(self, model, state, beta, n_sweeps, device, steps, masses):
            settings.extend([(steps.tolist(), masses.tolist())] * n_sweeps)
            return super()._trajectories(model, state, beta, n_sweeps, device, steps, masses)

    state = HMC().init(CURVED, 3, 1)
    fixed, state = Watched().warm_up(CURVED, state, np.ones(3), burn_in)
    assert not fixed.adapt
    assert state.sweep == len(settings) == burn_in
    last = settings[-(burn_in - int(0.75 * burn_in)) :]
    assert all(used == (list(fixed.step_size), [list(fixed.mass)]) for used in last)
    assert settings[0] != last[0]
    again, state = fixed.warm_up(CURVED, state, np.ones(3), 50)
    assert again == fixed


@pytest.mark.parametrize(
    ("sampler", "burn_in"),
    [(HMC(), 19), (HMC(adapt=False), 100), (HMC(0.05, adjusted=False), 100)],
    ids=repr,
)
def test_warm_ups_that_change_nothing(sampler, burn_in):
    state = sampler.init(CURVED, 3, 1)
    same, after = sampler.warm_up(CURVED, state, np.ones(3), burn_in)
    assert same == sampler
    assert np.array_equal(after.x, sampler.advance(CURVED, state, np.ones(3), burn_in)[0].x)


def test_steps_and_masses_suit_the_target():
    """Widths from 1/100 to 2, at two betas: trajectories as long as the widest, most accepted."""
    widths, n = np.array([0.01, 0.5, 2.0]), 16
    model, beta = Gaussian(0.3, widths), np.tile([0.5, 2.0], n)
    sampler, state = HMC().warm_up(model, HMC().init(model, 2 * n, 3), beta, 600)
    assert np.shape(sampler.mass) == (2 * n, 3)
    masses = np.array(sampler.mass)
    assert (masses[::2] == masses[0]).all()
    assert masses.prod(axis=1) == pytest.approx(1.0)
    expected = widths**-2.0 / np.prod(widths**-2.0) ** (1 / 3)
    # Each window holds thousands of draws; 30% is more than ten standard errors of a variance.
    assert masses[0] == pytest.approx(expected, rel=0.3)
    assert masses[1] == pytest.approx(expected, rel=0.3)
    steps = np.array(sampler.step_size)
    assert 1.5 < np.median(steps[::2]) / np.median(steps[1::2]) < 2.7  # sqrt(2.0 / 0.5) = 2
    acceptance = sampler.advance(model, state, beta, 200)[1]["acceptance"]
    assert 0.7 < acceptance.mean() < 0.97


def test_masses_given_are_kept():
    sampler = HMC(0.2, mass=[2.0, 0.5])
    state = sampler.init(CURVED, 4, 1)
    fixed, _ = sampler.warm_up(CURVED, state, np.ones(4), 60)
    assert fixed.mass == (2.0, 0.5)
    assert len(set(fixed.step_size)) == 4


def test_dual_averaging_finds_the_step():
    """Of an acceptance exp(-eps), the step -log(0.8), from far off on either side."""
    tuner = DualAveraging(np.array([1e-3, 0.1, 10.0]), 0.8)
    for _ in range(4000):
        tuner.learn(np.exp(-tuner.steps))
    assert tuner.averaged == pytest.approx(-np.log(0.8), rel=0.05)
    before = tuner.averaged
    tuner.restart()
    assert tuner.steps == pytest.approx(before)


@pytest.mark.parametrize("n", [15, 16, 30, 75, 150, 1000])
def test_windows_cover_the_warm_up(n):
    parts = windows(n)
    assert sum(length for length, _ in parts) == n
    assert [learns for _, learns in parts] == [False, *[True] * (len(parts) - 2), False]
    lengths = [length for length, _ in parts[1:-1]]
    assert lengths == sorted(lengths)


def test_variances_of_groups_far_from_the_origin():
    rng, group = np.random.default_rng(5), np.array([0, 1, 0, 1, 1])
    widths = np.where(group[:, None] == 0, [1.0, 4.0], [3.0, 1.0])
    draws = 1e8 + widths * rng.normal(size=(300, 5, 2))
    found = Variances(draws[0], group)
    for x in draws:
        found.learn(x)
    masses = found.masses(np.ones((2, 2)))
    for g in (0, 1):
        var = draws[:, group == g].reshape(-1, 2).var(axis=0)
        n = 300 * (group == g).sum()
        expected = (var / np.sqrt(var.prod())) ** (-n / (n + 5))
        assert masses[g] == pytest.approx(expected, rel=1e-6)


def test_a_coordinate_that_never_moved_keeps_the_masses_of_its_group():
    group, x = np.array([0, 0, 1, 1]), np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 3.0], [3.0, 5.0]])
    found = Variances(x, group)
    found.learn(x)
    masses = found.masses(np.array([[7.0, 8.0], [1.0, 1.0]]))
    assert masses[0].tolist() == [7.0, 8.0]
    assert masses[1] == pytest.approx([4 ** (1 / 7), 4 ** (-1 / 7)])  # 2 draws of 2 + 5


# --- with exchange, along paths, and on disk ------------------------------------------------------


def test_replica_exchange_adapts_in_every_slot(seed):
    """Final states of all rungs of ladders on the tilted double well."""
    model, ladder, bins = DoubleWell(barrier=2.0, tilt=0.5), np.array([0.3, 0.8, 1.6]), 30
    grid = np.linspace(-5, 5, 100_001)

    def run(seed, scale):
        n = 4000 * scale
        sampler = ReplicaExchange(HMC(n_steps=4))
        beta = np.tile(ladder, n)
        state = sampler.init(model, 3 * n, seed)
        sampler, state = sampler.warm_up(model, state, beta, 80)
        steps = np.array(sampler.sampler.step_size).reshape(n, 3)
        assert (np.diff(np.median(steps, axis=0)) < 0).all()
        state = sampler.advance(model, state, beta, 40)[0]
        found = {}
        for k, b in enumerate(ladder):
            law = np.cumsum(np.exp(-model.reduced_energy(grid[:, None], b)))
            cells = (np.interp(state.x[k::3, 0], grid, law / law[-1]) * bins).astype(int)
            counts = np.bincount(np.minimum(cells, bins - 1), minlength=bins)
            found[f"beta = {b}"] = chi_square(counts, np.full(bins, 1 / bins))
        return found

    assert_distribution(run, seed)


@pytest.mark.parametrize("sampler", [HMC(n_steps=4), HMC(0.12, 3, adjusted=False)], ids=repr)
def test_annealed_importance_sampling(sampler, seed, assert_unbiased):
    model = DoubleWell(barrier=2.0, tilt=0.5, dim=2, stiffness=3.0)
    well = DoubleWell(barrier=2.0, tilt=0.5)
    exact = quadrature.log_z(lambda x: well.energy(x[:, None]), -6.0, 6.0).value
    exact += 0.5 * np.log(2 * np.pi / 3.0)
    path = Geometric(Gaussian(stddev=1.2, dim=2), model, sampler=sampler)

    def run(seed, scale):
        found = ais(path, n_levels=12, n_chains=200 * scale, rng=seed)
        return (found.value - exact) / found.stderr

    assert_unbiased(run, seed)


def test_a_chain_with_masses_for_every_beta_is_saved(tmp_path):
    chain = sample(CURVED, HMC(), beta=[0.5, 1.0], n_draws=20, burn_in=60, rng=1)
    assert np.shape(chain.sampler.mass) == (2, 2)
    chain.save(tmp_path / "run.zarr")
    found = Chain.load(tmp_path / "run.zarr")
    assert found.sampler == chain.sampler
    more, other = (
        sample(CURVED, c.sampler, beta=[0.5, 1.0], n_draws=5, start=c.final) for c in (chain, found)
    )
    assert np.array_equal(more.states, other.states)


# --- what cannot be -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        *[({"step_size": s}, "step_size=.*positive and finite") for s in (0, -1, np.nan, (), "a")],
        *[({"n_steps": n}, "n_steps=.*at least 1") for n in (0, -3, 2.5, True, None)],
        *[({"target": t}, "target=.*between 0 and 1") for t in (0.0, 1.0, np.nan, 80, "a", None)],
        *[({"jitter": j}, "jitter=.*less than 1") for j in (-0.1, 1.0, np.nan, "a", None)],
        *[({"mass": m}, "mass=.*positive and finite") for m in (1.0, [0.0, 1.0], [[[1.0]]], [-1])],
        ({"mass": [[1.0, 2.0], [1.0]]}, "mass=.*positive and finite"),
    ],
)
def test_settings_that_cannot_be(settings, told):
    with pytest.raises(InvalidInput, match=told):
        HMC(**settings)


def test_settings_that_do_not_fit():
    with pytest.raises(InvalidInput, match=r"mass has 3 entries for the 2 coordinates"):
        sample(CURVED, HMC(mass=[1, 2, 3]), beta=1.0, n_draws=5, rng=1)
    state = HMC().init(CURVED, 2, seed=1)
    with pytest.raises(InvalidInput, match="step_size has 3 entries for 2 chains"):
        HMC((0.1, 0.2, 0.3)).advance(CURVED, state, np.ones(2), 4)
    with pytest.raises(InvalidInput, match="mass has 3 rows for 2 chains"):
        HMC(mass=np.ones((3, 2))).advance(CURVED, state, np.ones(2), 4)


def test_discrete_models_are_refused():
    from statmech_ml import lattices
    from statmech_ml.models import Ising

    with pytest.raises(MissingCapability, match=r"HMC needs the capability Differentiable.*Use"):
        HMC().check(Ising(lattices.chain(4)))
