"""The emcee bridge: exact laws, errors of coupled walkers, runs that resume bit for bit, refusals.

An ensemble that starts from exact draws stays a product of exact laws for ever, so its walkers at
one time are independent draws, which chi-square tests ask for; many small ensembles show what a
large one would hide.
"""

import emcee
import numpy as np
import pytest
from scipy.stats import chi2, norm
from statistical import assert_distribution, assert_refuted, chi_square

from statmech_ml import lattices, sample
from statmech_ml.chains import Chain
from statmech_ml.errors import InvalidInput, StoreError
from statmech_ml.exact import plane
from statmech_ml.models import Gaussian, GaussianMixture, Ising, LogDensity, RingOfWells, Rosenbrock
from statmech_ml.partition import Geometric
from statmech_ml.samplers import EnsembleSampler, ReplicaExchange, ensemble

BANANA = Rosenbrock(a=0.5, b=1.0, mu=0.7)
TILTED = Gaussian([0.5, 0.0], covariance=[[1.0, 0.9], [0.9, 1.2]])
NORMALS = Gaussian(dim=4)
WELLS = RingOfWells(3, radius=1.2, height=2.5, barrier=1.5, tilt=0.4)


class Unbalanced(emcee.moves.StretchMove):
    """A stretch move that lost the factor z^(d - 1)."""

    def get_proposal(self, *given):
        q, factors = super().get_proposal(*given)
        return q, 0.0 * factors


class Counting(emcee.moves.StretchMove):
    """A move that behaves otherwise whenever it has been used before."""

    uses = 0

    def get_proposal(self, *given):
        self.uses += 1
        q, factors = super().get_proposal(*given)
        return q, factors + 0.01 * self.uses


MOVES = {
    "stretch": None,
    "differential evolution": emcee.moves.DEMove(),
    "walk": emcee.moves.WalkMove(),
    "two": [(emcee.moves.DEMove(), 0.7), (emcee.moves.StretchMove(a=3.0), 0.3)],
    "gaussian": emcee.moves.GaussianMove(0.3, mode="random"),
}


def uniform(model, x):
    """Coordinates in which the model at beta = 1 is uniform on the unit square."""
    if model is NORMALS:  # two halves, whose squares are chi-square
        return np.stack([chi2.cdf((half**2).sum(axis=1), 2) for half in (x[:, :2], x[:, 2:])], 1)
    if model is BANANA:
        normals = np.stack([x[:, 0] - 0.7, np.sqrt(2.0) * (x[:, 1] - x[:, 0] ** 2)], axis=-1)
    else:
        normals = np.linalg.solve(
            np.linalg.cholesky([[1.0, 0.9], [0.9, 1.2]]), (x - model.mean).T
        ).T
    return norm.cdf(normals)


def check(moves, models=(BANANA, TILTED, NORMALS), n_walkers=8, n_ensembles=60, n_sweeps=25):
    """The p-values of the walkers of many small ensembles, in 5 x 5 cells of equal probability."""

    def run(seed, scale):
        found = {}
        sampler, beta = EnsembleSampler(moves), np.ones(n_walkers)
        for model in models:
            x, moved = [], 0.0
            for k in range(n_ensembles * scale):
                chains = np.arange(n_walkers, dtype=np.uint32) + n_walkers * k
                start = model.draws(seed, chains)
                state = sampler.init(model, n_walkers, seed + k, start)
                state, info = sampler.advance(model, state, beta, n_sweeps)
                x.append(state.x)
                moved += info["acceptance"].mean() / (n_ensembles * scale)
            assert moved > 0.05, "walkers that stay where they were drawn show nothing"
            cells = (5 * uniform(model, np.concatenate(x))).astype(int) @ [5, 1]
            found[repr(model)] = chi_square(np.bincount(cells, minlength=25), np.full(25, 0.04))
        return found

    return run


# --- the law --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "model"), [("stretch", NORMALS), ("two", TILTED)])
def test_walkers_have_the_exact_distribution(name, model, seed):
    assert_distribution(check(MOVES[name], models=[model]), seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", MOVES)
def test_walkers_have_the_exact_distribution_in_the_long_run(name, seed):
    assert_distribution(check(MOVES[name], n_ensembles=300), seed)


def test_a_stretch_without_its_jacobian_is_refuted(seed):
    assert_refuted(check(Unbalanced(), models=[NORMALS]), seed)


@pytest.mark.slow
def test_the_snooker_of_this_emcee_is_refuted(seed, monkeypatch):
    """Its refusal is deserved: emcee's pull request 531 mends it after 3.1.6."""
    monkeypatch.setattr(ensemble, "_SNOOKER_IS_WRONG", (0,))
    snooker = emcee.moves.DESnookerMove()
    assert_refuted(check(snooker, models=[BANANA], n_ensembles=400, n_sweeps=60), seed)


OBSERVABLES = {
    "x": lambda x: x[:, 0],
    "y^2": lambda x: x[:, 1] ** 2,
    "skewness": lambda x: x[:, 0] ** 3,
}


def wells(tilt, n_draws):
    """z of a run on the ring of wells at beta = 1.3, from a random start, against quadrature."""

    def u(x):
        return WELLS.reduced_energy(x, 1.3)

    box = ((-4.0, 4.0), (-4.0, 4.0))
    exact = {name: plane.mean(u, f, box).value for name, f in OBSERVABLES.items()}
    exact["energy"] = plane.mean(u, WELLS.energy, box).value

    def run(seed, scale):
        chain = sample(
            RingOfWells(3, radius=1.2, height=2.5, barrier=1.5, tilt=tilt),
            EnsembleSampler(emcee.moves.DEMove()), beta=1.3, n_chains=16, n_draws=n_draws * scale,
            burn_in=200, rng=seed, observables=OBSERVABLES, progress=False,
        )  # fmt: skip
        values = dict.fromkeys(OBSERVABLES)
        if tilt == WELLS.arrays.tilt:
            values["energy"] = None
        return np.array([chain.estimate(n, on_short="accept").z(exact[n]) for n in values])

    return run


def test_means_on_a_ring_of_wells(assert_unbiased, seed):
    assert_unbiased(wells(0.4, 1000), seed)


def test_another_tilt_is_rejected(assert_rejected, seed):
    assert_rejected(wells(-0.4, 300), seed)


# --- errors ---------------------------------------------------------------------------------------


def test_errors_come_from_the_series_of_ensemble_means():
    chain = sample(
        TILTED, EnsembleSampler(), beta=1.0, n_chains=8, n_draws=600, rng=3,
        observables={"x": lambda x: x[:, 0]},
    )  # fmt: skip
    assert chain.sampler.coupled
    for name in ("energy", "x", "energy_per_site", "specific_heat"):
        assert chain.estimate(name, on_short="accept").n == 600
    assert chain.estimate("energy", on_short="accept").value == pytest.approx(chain.energy.mean())


class Relay(emcee.moves.Move):
    """Walker k becomes 0.6 times walker k - 1 of the sweep before, and 0.8 times a normal.

    Normal walkers stay independent normals. None of ten has a memory of itself within nine sweeps,
    but their mean is an AR(1) process of rho = 0.6: errors as of independent chains are too small
    by sqrt((1 + rho) / (1 - rho)) = 2.
    """

    def propose(self, model, state):
        noise = model.random.normal(size=state.coords.shape)
        x = 0.6 * np.roll(state.coords, 1, axis=0) + 0.8 * noise
        log_prob = model.compute_log_prob_fn(x)[0]
        return emcee.State(x, log_prob=log_prob), np.ones(len(x), bool)


class Uncoupled(EnsembleSampler):
    """Walkers that pass for chains of their own."""

    coupled = False


def calibration(sampler, n_runs=24):
    """z of the mean of z, and of their squares: normal z have the errors 1 and sqrt(2) over
    sqrt(n_runs)."""
    normal = Gaussian(dim=1)

    def run(seed, scale):
        z = []
        for k in range(n_runs * scale):
            start = normal.draws(seed, np.arange(10 * k, 10 * k + 10, dtype=np.uint32))
            chain = sample(
                normal, sampler, beta=1.0, n_chains=10, n_draws=400, burn_in=0, start=start,
                rng=seed + k, observables={"x": lambda x: x[:, 0]}, keep_states=False,
            )  # fmt: skip
            z.append(chain.estimate("x", on_short="accept").z(0.0))
        z = np.array(z)
        return np.array([z.mean(), ((z**2).mean() - 1.0) / np.sqrt(2.0)]) * np.sqrt(len(z))

    return run


@pytest.mark.slow
def test_errors_of_walkers_that_hand_their_places_on(seed, assert_unbiased):
    assert_unbiased(calibration(EnsembleSampler(Relay())), seed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*drifts")  # which these errors let them do more often
def test_errors_as_of_independent_chains_are_rejected(seed, assert_rejected):
    assert_rejected(calibration(Uncoupled(Relay())), seed)


# --- reproducibility ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MOVES)
def test_a_run_stopped_at_any_sweep_continues_bit_for_bit(name):
    sampler, beta = EnsembleSampler(MOVES[name]), np.full(6, 0.7)
    start = sampler.init(BANANA, 6, seed=77)
    whole, info = sampler.advance(BANANA, start, beta, 7)
    assert info["acceptance"].shape == (6,)
    for stop in range(8):
        part, _ = sampler.advance(BANANA, start, beta, stop)
        rest, _ = sampler.advance(BANANA, part, beta, 7 - stop)
        assert rest.x.tobytes() == whole.x.tobytes()
        assert rest.sweep == 7
    assert start.x.tobytes() == sampler.init(BANANA, 6, seed=77).x.tobytes()
    other, _ = sampler.advance(BANANA, start._replace(seed=78), beta, 7)
    assert (other.x != whole.x).any()


def test_what_a_move_remembers_does_not_reach_the_next_sweep():
    sampler, beta = EnsembleSampler(Counting()), np.ones(8)
    start = sampler.init(BANANA, 8, seed=1)
    whole, _ = sampler.advance(BANANA, start, beta, 20)
    half, _ = sampler.advance(BANANA, start, beta, 10)
    half, _ = sampler.advance(BANANA, half, beta, 10)
    assert half.x.tobytes() == whole.x.tobytes()


def test_the_global_generator_is_untouched():
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002
    sample(BANANA, EnsembleSampler(MOVES["two"]), beta=1.0, n_chains=8, n_draws=20, rng=1)
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002


def test_acceptance_counts_the_moves_taken():
    sampler, x = EnsembleSampler(), []
    state = sampler.init(BANANA, 8, seed=5)
    whole = sampler.advance(BANANA, state, np.ones(8), 30)[1]["acceptance"]
    for _ in range(30):
        new, _ = sampler.advance(BANANA, state, np.ones(8), 1)
        x.append((new.x != state.x).any(axis=1))
        state = new
    assert np.mean(x, axis=0) == pytest.approx(whole)


def test_a_chain_is_saved_with_moves_that_are_their_settings(tmp_path):
    sampler = EnsembleSampler([(emcee.moves.DEMove(sigma=1e-4), 0.8), emcee.moves.StretchMove(3.0)])
    chain = sample(BANANA, sampler, beta=1.0, n_chains=8, n_draws=20, rng=1)
    chain.save(tmp_path / "chain")
    again = Chain.load(tmp_path / "chain")
    assert again.sampler == sampler
    more = [sample(BANANA, c.sampler, beta=1.0, n_draws=5, start=c.final) for c in (chain, again)]
    assert more[0].states.tobytes() == more[1].states.tobytes()
    chain = sample(
        BANANA, EnsembleSampler(MOVES["gaussian"]), beta=1.0, n_chains=8, n_draws=20, rng=1
    )
    with pytest.raises(StoreError, match="cannot be saved"):
        chain.save(tmp_path / "other")


def test_forbidden_regions_are_not_entered():
    """A density on a half plane: outside it -inf, and the law inside is kept."""
    half = LogDensity(lambda x: np.where(x[..., 0] > 0, -(x**2).sum(axis=-1), -np.inf), 2)
    start = np.abs(np.random.default_rng(1).normal(size=(8, 2)))
    chain = sample(half, EnsembleSampler(), beta=1.0, n_chains=8, n_draws=40, start=start, rng=1)
    assert (chain.states[..., 0] > 0).all()
    assert np.isfinite(chain.energy).all()


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_chains", [2, 7, 3])
def test_too_few_walkers_or_an_odd_number(n_chains):
    with pytest.raises(InvalidInput, match=r"even and at least 4.*n_chains=32"):
        sample(BANANA, EnsembleSampler(), beta=1.0, n_chains=n_chains, n_draws=10**15, rng=1)


def test_walkers_fewer_than_twice_the_dimensions():
    with pytest.raises(InvalidInput, match="10 chains in 6 dimensions"):
        sample(Gaussian(dim=6), EnsembleSampler(), beta=1.0, n_chains=10, n_draws=5, rng=1)


def test_several_betas():
    with pytest.raises(InvalidInput, match=r"0\.5 to 1.*one ensemble at one beta"):
        sample(BANANA, EnsembleSampler(), beta=[0.5] * 4 + [1.0] * 4, n_draws=5, rng=1)


def test_walkers_that_start_from_one_point():
    with pytest.raises(InvalidInput, match="span 0 of 2 dimensions"):
        sample(BANANA, EnsembleSampler(), beta=1.0, n_chains=8, n_draws=5, start="ordered", rng=1)
    line = np.outer(np.arange(8.0), [1.0, 2.0])
    with pytest.raises(InvalidInput, match="span 1 of 2"):
        sample(BANANA, EnsembleSampler(), beta=1.0, n_chains=8, n_draws=5, start=line, rng=1)


def test_discrete_models():
    with pytest.raises(InvalidInput, match="Use HeatBath"):
        EnsembleSampler().check(Ising(lattices.chain(4)))


def test_exchange_and_paths_of_log_z():
    with pytest.raises(InvalidInput, match="one chain at each rung"):
        ReplicaExchange(EnsembleSampler())
    mixture = GaussianMixture([1.0, 2.0], [[0.0, 0.0], [1.0, 1.0]])
    with pytest.raises(InvalidInput, match="each chain for itself"):
        Geometric(Gaussian(dim=2), mixture, sampler=EnsembleSampler())


@pytest.mark.parametrize(
    ("moves", "match"),
    [
        ("stretch", "no move of emcee"),
        (emcee.moves.StretchMove, "no move of emcee"),
        (3, "no move of emcee"),
        ([], "empty"),
        ([(emcee.moves.StretchMove(), 0.0)], "positive number"),
        ([(emcee.moves.StretchMove(), "much")], "positive number"),
        (emcee.moves.GaussianMove(0.1, mode="sequential"), "counts its sweeps"),
        (emcee.moves.DESnookerMove(), "samples another law"),
        ([("Sprint", 1.0, [])], "none of StretchMove"),
    ],
)
def test_moves_that_cannot_be(moves, match):
    with pytest.raises(InvalidInput, match=match):
        EnsembleSampler(moves)
