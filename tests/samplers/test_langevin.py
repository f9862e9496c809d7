"""What all Langevin samplers promise: kernels and their twins, steps, noises and temperatures."""

import numpy as np
import pytest
from langevin_laws import K, in_batches, normal_law
from statistical import assert_distribution, assert_refuted

from statmech_ml import _rng, lattices, sample
from statmech_ml.errors import EffectiveTemperatureWarning, InvalidInput, MissingCapability
from statmech_ml.exact import langevin
from statmech_ml.models import DoubleWell, Gaussian, Ising, LogDensity
from statmech_ml.partition import Geometric, ais
from statmech_ml.samplers import BAOAB, MALA, PSGLD, SGHMC, SGLD, ULA, PolynomialDecay

MODELS = [
    Gaussian([0.5, -1.0, 0.2], [0.8, 1.2, 0.5]),
    Gaussian([0.5, -1.0], covariance=[[1.0, 0.6], [0.6, 2.0]]),
    DoubleWell(tilt=0.3),
]
ADJUSTABLE = [MALA(0.05, adapt=False), ULA(0.05, noise=0.2)]
WALKERS = [
    SGLD(0.05),
    SGLD(schedule=PolynomialDecay(0.1, 5.0, 0.6)),
    PSGLD(0.05, alpha=0.9),
    SGHMC(0.1, friction=2.0, noise_estimate=0.5),
    BAOAB(0.2, friction=2.0, noise=0.5),
]
KINDS = [MALA, ULA, SGLD, PSGLD, SGHMC, BAOAB]
TWINS = [(s, m) for s in ADJUSTABLE for m in MODELS] + [(s, MODELS[2]) for s in WALKERS]


@pytest.mark.parametrize(("sampler", "model"), TWINS, ids=repr)
def test_the_twin_makes_the_moves_of_the_kernel(sampler, model):
    n = 50
    beta = np.linspace(0.3, 1.5, n)
    state = sampler.init(model, n, seed=2**63 + 5)
    state = state._replace(x=0.3 * state.x, sweep=2**33)
    compiled, info = sampler.advance(model, state, beta, 20)
    batched, other = sampler.advance(in_batches(model), state, beta, 20)
    assert batched.x == pytest.approx(compiled.x, rel=1e-10, abs=1e-10)
    assert set(batched.carried) == set(compiled.carried)
    for name, values in compiled.carried.items():
        assert batched.carried[name] == pytest.approx(values, rel=1e-8, abs=1e-8)
    for name in info:
        assert other[name] == pytest.approx(info[name], rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("sampler", [*ADJUSTABLE, *WALKERS], ids=repr)
def test_stopped_and_resumed_it_is_the_same_run(sampler):
    model = in_batches(MODELS[0])
    state = sampler.init(model, 5, seed=3)
    beta = np.ones(5)
    through = sampler.advance(model, state, beta, 9)[0]
    halted = sampler.advance(model, state, beta, 4)[0]
    resumed = sampler.advance(model, halted, beta, 5)[0]
    assert resumed.x.tolist() == through.x.tolist()
    for name, values in through.carried.items():
        assert resumed.carried[name].tolist() == values.tolist()


def test_batches_of_normals_are_those_of_the_kernel():
    """Block i of a stream gives normals 2 i and 2 i + 1, and streams differ by chain."""
    chains = np.array([0, 7, 2**31], np.uint32)
    found = _rng.normals(5, chains, 3, _rng.LANGEVIN, 0, 5)
    assert found.shape == (3, 5)
    for c, chain in enumerate(chains):
        for i in range(3):
            words = _rng.block(np.uint64(5), chain, 3, _rng.LANGEVIN, 0, i)
            pair = _rng.normal_pair(*words)
            assert found[c, 2 * i : 2 * i + 2].tolist() == list(pair)[: 5 - 2 * i]
    assert found[:, :3].tolist() == _rng.normals(5, chains, 3, _rng.LANGEVIN, 0, 3).tolist()


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [0.0, -1.0, np.nan, np.inf, (), [[0.1]], (0.1, 0.0), "long"])
def test_steps_that_cannot_be(kind, step):
    with pytest.raises(InvalidInput, match="positive and finite"):
        kind(step)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_per_chain(kind):
    sampler = kind((0.1, 0.2, 0.3))
    model = in_batches(MODELS[0])
    state = sampler.init(model, 3, seed=1)
    moved = sampler.advance(model, state, np.ones(3), 4)[0].x
    for c, step in enumerate((0.1, 0.2, 0.3)):
        alone = kind(step).advance(model, state, np.ones(3), 4)[0].x
        assert moved[c].tolist() == alone[c].tolist()
    assert sampler.of_chains(np.array([2, 0])).step_size == (0.3, 0.1)
    with pytest.raises(InvalidInput, match="3 entries for 2 chains"):
        sampler.advance(model, sampler.init(model, 2, seed=1), np.ones(2), 4)


@pytest.mark.parametrize("kind", KINDS)
def test_discrete_models_are_refused(kind):
    with pytest.raises(MissingCapability, match=r"needs the capability Differentiable.*Use"):
        kind().check(Ising(lattices.chain(4)))


def test_weights_without_a_correction_are_refused():
    path = Geometric(Gaussian(), in_batches(DoubleWell()), sampler=SGLD())
    with pytest.raises(InvalidInput, match=r"nor does it report by how much.*Use MALA"):
        ais(path, n_levels=4, n_chains=4, rng=1)
    assert not any(kind().reversible for kind in (SGLD, PSGLD, SGHMC, BAOAB))


@pytest.mark.parametrize("sampler", [SGLD(1.0), SGHMC(1.0), BAOAB(1.0)], ids=repr)
@pytest.mark.parametrize(
    "model", [DoubleWell(), LogDensity(lambda x: -(x[:, 0] ** 4), 1)], ids=repr
)
def test_steps_that_diverge_are_an_error(sampler, model):
    state = sampler.init(model, 4, seed=1)
    with pytest.raises(InvalidInput, match=r"left the finite numbers.*smaller step_size, or MALA"):
        sampler.advance(model, state, np.ones(4), 800)


# --- temperatures ---------------------------------------------------------------------------------

# Sampler, its effective temperature by hand.
WRONG_NOISE = [
    (ULA(0.3, noise=0.3**0.5), 0.5),
    (ULA(10.0, noise=0.005), 1.25e-6),
    (SGLD(0.1, noise=1.0), 5.0),
    (PSGLD(0.1, noise=0.1**0.5), 0.5),
    (SGHMC(0.1, friction=2.0, noise=0.2), 0.1),
    (SGHMC(0.1, friction=2.0, noise_estimate=1.0, noise=0.2), 0.1),  # no noise of gradients
    (SGHMC(0.1, friction=2.0, noise_estimate=1.5), 0.25),
    (BAOAB(0.5, friction=np.log(2.0), noise=0.5), 0.5),  # c^2 = 1/2
]


@pytest.mark.parametrize(("sampler", "temperature"), WRONG_NOISE, ids=repr)
def test_a_noise_that_is_not_the_steps_is_told_before_the_run(sampler, temperature):
    assert sampler.effective_temperature == pytest.approx(temperature, rel=1e-12)
    told = (
        rf"samples at the temperature {temperature:.4g} and not at 1.*(Leave noise= out|no noise)"
    )
    with pytest.warns(EffectiveTemperatureWarning, match=told) as seen:
        chain = sample(MODELS[2], sampler, beta=1.0, n_chains=2, n_draws=3, burn_in=0, rng=1)
    assert [w.filename for w in seen] == [__file__]
    found = chain.info["effective_temperature"]
    assert found == pytest.approx(np.full((2, 3), temperature), rel=1e-12)


def test_an_estimate_of_noise_that_is_not_there_is_told(seed):
    """Full gradients: what the estimate leaves out of the noise, nothing makes up for."""
    sampler = SGHMC(0.3, friction=2.0, noise_estimate=1.0)
    told = r"temperature 0.5 and not at 1.*full gradients have no noise: use noise_estimate=0"
    with pytest.warns(EffectiveTemperatureWarning, match=told):
        sampler.check(MODELS[0])
    right = float(langevin.sghmc_variance(0.3, 2.0, K, 0.0, 1.0))
    half = float(langevin.sghmc_variance(0.3, 2.0, K)) * sampler.effective_temperature
    assert right == pytest.approx(half, rel=1e-12)
    assert_distribution(normal_law(sampler, half), seed)
    # With batches the estimate is taken at its word, and the measured rise says how right it was.
    assert SGHMC(0.3, 5, friction=2.0, noise_estimate=1.0).effective_temperature == 1.0


@pytest.mark.parametrize(
    ("kind", "name"),
    [(SGHMC, "friction"), (SGHMC, "noise_estimate"), (BAOAB, "friction"), (PSGLD, "alpha"),
     (PSGLD, "regulariser")],
)  # fmt: skip
@pytest.mark.parametrize("value", ["a", None, (0.5, 0.5)])
def test_settings_that_are_no_numbers(kind, name, value):
    with pytest.raises(InvalidInput, match=f"{name}=.*must be a number, one"):
        kind(**{name: value})


@pytest.mark.parametrize("sampler", [kind() for kind in KINDS], ids=repr)
def test_without_a_noise_of_ones_own_it_is_one(sampler):
    assert sampler.effective_temperature == 1.0
    chain = sample(MODELS[2], sampler, beta=1.0, n_chains=2, n_draws=3, burn_in=0, rng=1)
    assert chain.info["effective_temperature"].tolist() == [[1.0] * 3] * 2


def test_a_noise_per_chain_and_one_that_is_only_rounded():
    right = (2 * 0.3) ** 0.5
    sampler = ULA(0.3, noise=(right, 2 * right))
    assert sampler.effective_temperature == pytest.approx([1.0, 4.0])
    with pytest.warns(EffectiveTemperatureWarning, match="temperature 4 "):
        sampler.check(MODELS[0])
    alone = sampler.of_chains(np.array([0]))
    assert alone.noise == (right,)
    alone.check(MODELS[0])  # and no warning, which would be an error here
    ULA(0.3, noise=0.7746).check(MODELS[0])


@pytest.mark.parametrize("kind", [ULA, SGLD, PSGLD, SGHMC, BAOAB])
@pytest.mark.parametrize("noise", [0.0, -1.0, np.nan, (0.1, 0.0)])
def test_noises_that_cannot_be(kind, noise):
    with pytest.raises(InvalidInput, match=r"noise=.*Without noise a move is gradient descent"):
        kind(noise=noise)


def test_mala_takes_no_noise():
    with pytest.raises(TypeError, match="noise"):
        MALA(0.1, noise=0.1)


def test_what_is_sampled_at_a_wrong_noise_is_what_was_told(seed):
    """Noise sqrt(eta): the variance at temperature 1/2, which on N(0, 1) is 1 / (2 - eta)."""
    mistake = ULA(0.5, noise=0.5**0.5)
    told = float(langevin.ula_variance(0.5, K, mistake.effective_temperature))
    assert_distribution(normal_law(mistake, told), seed)
    assert_refuted(normal_law(mistake, float(langevin.ula_variance(0.5, K))), seed)
    hot = BAOAB(0.8, friction=1.5, noise=1.2)
    assert_distribution(normal_law(hot, hot.effective_temperature / K), seed + 1)
