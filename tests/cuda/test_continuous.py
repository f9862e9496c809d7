"""Langevin moves and Hamiltonian trajectories on CUDA: simulated, as PTX, and on a card.

Markers as in test_heat_bath.py. Simulated kernels are Python, so they agree with the CPU to
rounding; a card rounds log, cos and exp in its own way, so there chains are compared after one move
and laws after many.
"""

import numba
import numpy as np
import pytest
from ptx import CAPABILITIES, compile_to_ptx
from statistical import assert_distribution, assert_refuted, chi_square

from statmech_ml import sample
from statmech_ml.errors import InvalidInput
from statmech_ml.models import DoubleWell, Gaussian, GaussianMixture, LogDensity, Rosenbrock
from statmech_ml.models.interpolated import Interpolated
from statmech_ml.samplers import BAOAB, HMC, MALA, SGHMC, SGLD, ULA, ReplicaExchange, State
from statmech_ml.samplers._langevin import moves_of_chain
from statmech_ml.samplers._walk import Walk, fill_normals, walk_of_chain

MODELS = {
    "well": DoubleWell(tilt=0.3),  # an odd number of coordinates: half a pair of normals
    "curved": Rosenbrock(a=1.0, b=1.0, mu=0.5, length=2),
    "correlated": Gaussian([0.5, -1.0], covariance=[[1.0, 0.6], [0.6, 2.0]]),
    "mixture": GaussianMixture([1.0, 2.0], [[-0.8, 0.1], [1.0, 0.2]], [0.5, 0.8]),
}
SAMPLERS = {
    "ULA": ULA((0.02, 0.05, 0.01)),
    "MALA": MALA(0.2, adapt=False),
    "SGLD": SGLD(0.05),
    "SGHMC": SGHMC(0.05),
    "BAOAB": BAOAB(0.1, friction=2.0),
    "HMC": HMC((0.3, 0.1, 0.6), 3, adapt=False),
    "HMC without rejections": HMC(0.05, 4, adjusted=False),
}
BETAS = np.array([0.3, 0.8, 1.5])

every_model = pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=list(SAMPLERS))


def start(model, seed, sweep=0):
    """A state near the origin whose chains are not numbered from zero."""
    chains = np.array([4, 1, 70_000], np.uint32)
    return State(0.3 * model.space.random(seed, chains), seed + 2**40, chains, sweep)


def assert_alike(found, expected, rounding):
    """The states after a run on two devices, what is carried and what was watched."""
    (state, info), (twin, watched) = found, expected
    close = {"rel": rounding, "abs": rounding}
    assert state.x == pytest.approx(twin.x, **close)
    assert (state.sweep, state.seed) == (twin.sweep, twin.seed)
    assert state.carried.keys() == twin.carried.keys()
    for name in state.carried:
        assert state.carried[name] == pytest.approx(twin.carried[name], **close)
    assert info.keys() == watched.keys()
    for name in info:
        assert info[name] == pytest.approx(watched[name], **close)


# --- in the simulator -----------------------------------------------------------------------------


@pytest.mark.cudasim
@every_model
@every_sampler
def test_simulator_agrees_with_the_cpu(sampler, model, seed):
    state = start(model, seed, sweep=2**32 - 2)  # the second counter word carries past 32 bits
    after = sampler.advance(model, state, BETAS, 4, "cuda")
    assert_alike(after, sampler.advance(model, state, BETAS, 4), 1e-12)
    assert not np.array_equal(after[0].x, state.x)
    assert after[0].x.flags.c_contiguous


@pytest.mark.cudasim
@every_sampler
def test_resumed_at_any_sweep(sampler, seed):
    model = MODELS["curved"]
    state = start(model, seed)
    part = sampler.advance(model, state, BETAS, 2, "cuda")[0]
    whole = sampler.advance(model, part, BETAS, 3, "cuda")[0]
    assert np.array_equal(whole.x, sampler.advance(model, state, BETAS, 5, "cuda")[0].x)


@pytest.mark.cudasim
def test_a_small_grid_covers_everything(monkeypatch, seed):
    """Threads stride over more chains than the grid has."""
    from statmech_ml.samplers._cuda import device

    monkeypatch.setattr(device, "_MAX_GRID", 2)
    monkeypatch.setattr(device, "_FEW", 5)
    model, n, beta = MODELS["curved"], 23, np.linspace(0.3, 1.5, 23)
    for sampler in (MALA(0.2), BAOAB(0.1), HMC(0.2, 3)):
        state = sampler.init(model, n, seed)
        after = sampler.advance(model, state, beta, 2, "cuda")
        assert_alike(after, sampler.advance(model, state, beta, 2), 1e-12)


@pytest.mark.cudasim
def test_masses_of_single_chains(seed):
    model = MODELS["correlated"]
    sampler = HMC(0.2, 4, mass=((1.0, 2.0), (0.5, 3.0), (2.0, 0.4)))
    state = start(model, seed)
    after = sampler.advance(model, state, BETAS, 3, "cuda")
    assert_alike(after, sampler.advance(model, state, BETAS, 3), 1e-12)


@pytest.mark.cudasim
def test_sample_adapts_and_exchanges_on_either_device(seed):
    model = MODELS["well"]
    for sampler in (MALA(0.2), ReplicaExchange(HMC(0.2, 3, adapt=False))):
        chain, twin = (
            sample(model, sampler, beta=[0.4, 1.0], n_draws=4, burn_in=48, rng=seed, device=device)
            for device in ("cuda", "cpu")
        )
        assert chain.states == pytest.approx(twin.states, rel=1e-7, abs=1e-7)
        assert chain.provenance["device"] == "cuda"


@pytest.mark.cudasim
@pytest.mark.parametrize(
    "mutant",
    [
        lambda state, beta: (state._replace(seed=state.seed + 1), beta),
        lambda state, beta: (state._replace(chains=state.chains[::-1].copy()), beta),
        lambda state, beta: (state._replace(sweep=state.sweep + 1), beta),
        lambda state, beta: (state, beta[::-1].copy()),
    ],
    ids=["seed", "chains", "sweep", "betas"],
)
@every_sampler
def test_a_mutant_is_seen(sampler, mutant, seed):
    model = MODELS["correlated"]
    state = start(model, seed)
    expected = sampler.advance(model, state, BETAS, 2)[0].x
    wrong = sampler.advance(model, *mutant(state, BETAS), 2, "cuda")[0].x
    assert np.abs(wrong - expected).max() > 1e-6


# --- what is refused ------------------------------------------------------------------------------


def density(x):
    return -0.5 * (x**2).sum(axis=-1)


@every_sampler
def test_functions_of_numpy_arrays_are_refused(sampler):
    with pytest.raises(InvalidInput, match=r"(?s)compiled models and on networks.*device='cpu'"):
        sampler.advance(LogDensity(density, 1), start(LogDensity(density, 1), 1), BETAS, 2, "cuda")


def test_models_that_go_to_a_card_are_asked_to():
    places = []

    class Network(LogDensity):
        def to(self, device):
            places.append(device)
            return self

    model = Network(density, 2)
    state = start(model, 1)
    for n, sampler in enumerate((MALA(0.1), HMC(0.1), BAOAB(0.1)), 1):
        there = sampler.advance(model, state, BETAS, 3, "cuda")[0]
        assert np.array_equal(there.x, sampler.advance(model, state, BETAS, 3)[0].x)
        assert places == ["cuda"] * n


def test_a_model_that_does_not_compile_is_told(monkeypatch):
    """Methods that make arrays compile for the CPU only."""
    from numba.core.errors import TypingError

    from statmech_ml.samplers._cuda import device

    def refuses(kernel, blocks, threads):
        def launched(*arguments):
            raise TypingError("No implementation of function empty")

        return launched

    monkeypatch.setattr(device, "configured", refuses)
    with pytest.raises(InvalidInput, match=r"(?s)does not compile for CUDA.*may not make arrays"):
        device.launch(None, 3)


# --- as PTX, without a card -----------------------------------------------------------------------


def signature(name, model):
    """numba types of the kernels' arguments."""
    t = numba.types
    one, two, three = t.float64[::1], t.float64[:, ::1], t.float64[:, :, ::1]
    arrays, whole, chains, seed = numba.typeof(model.arrays), t.int64, t.uint32[::1], t.uint64
    counts = t.int64[::1]
    if name == "move":
        return (
            arrays, two, three, one, one, one, t.boolean, chains, seed, whole, whole, counts, one,
        )  # fmt: skip
    if name == "walk":
        return (
            arrays, two, three, one, one, two, whole, whole, t.boolean, chains, seed, whole, whole,
            counts, one, counts, one,
        )  # fmt: skip
    system = numba.typeof(Walk(model.arrays, SAMPLERS[name]._move(3)))
    return system, two, two, three, one, chains, seed, whole, whole, one


def compiles(name, model, capability):
    from statmech_ml.samplers._cuda import hamiltonian, langevin

    kernels = {"move": langevin.moving(moves_of_chain), "walk": hamiltonian.walk}
    kernel = kernels.get(name, langevin.walking(walk_of_chain, fill_normals))
    ptx = compile_to_ptx(kernel, signature(name, model), CAPABILITIES[capability])
    return f".target {capability}" in ptx and ".visible .entry" in ptx


@pytest.mark.ptx
@pytest.mark.parametrize("name", ["move", "walk", "BAOAB", "SGHMC", "SGLD"])
def test_kernels_compile(name):
    assert compiles(name, MODELS["well"], "sm_80")


@pytest.mark.ptx
@every_model
def test_models_compile(model):
    assert compiles("walk", model, "sm_90")


@pytest.mark.ptx
def test_a_model_that_makes_arrays_does_not_compile():
    from numba.core.errors import NumbaError

    from statmech_ml.samplers._cuda import langevin

    model = Interpolated(Gaussian(), DoubleWell())
    with pytest.raises(NumbaError, match="empty"):
        compile_to_ptx(
            langevin.moving(moves_of_chain), signature("move", model), CAPABILITIES["sm_90"]
        )


# --- on a card ------------------------------------------------------------------------------------


@pytest.mark.gpu
@every_model
@every_sampler
def test_card_agrees_after_one_move(sampler, model, seed):
    state = start(model, seed)
    after = sampler.advance(model, state, BETAS, 1, "cuda")
    assert_alike(after, sampler.advance(model, state, BETAS, 1), 1e-9)


def final_states(sampler, judged_at):
    """p-values of final states on a card: the tilted double well, against its law."""
    model, beta, bins = DoubleWell(1.0, 0.9, 0.4), 1.3, 50
    grid = np.linspace(-5, 5, 200_001)
    law = np.cumsum(np.exp(-model.reduced_energy(grid[:, None], judged_at)))

    def run(seed, scale):
        n = 50_000 * scale
        state = sampler.init(model, n, seed, np.zeros(1))
        x = sampler.advance(model, state, np.full(n, beta), 200, "cuda")[0].x[:, 0]
        cells = (np.interp(x, grid, law / law[-1]) * bins).astype(int)
        counts = np.bincount(np.minimum(cells, bins - 1), minlength=bins)
        return {"states": chi_square(counts, np.full(bins, 1 / bins))}

    return run


EXACT = pytest.mark.parametrize("sampler", [MALA(0.1, adapt=False), HMC(0.2, 5, adapt=False)])


@pytest.mark.gpu
@EXACT
def test_card_gives_the_law(sampler, seed):
    assert_distribution(final_states(sampler, 1.3), seed)


@pytest.mark.gpu
@EXACT
def test_the_law_of_another_temperature_is_refuted(sampler, seed):
    assert_refuted(final_states(sampler, 1.2), seed)
