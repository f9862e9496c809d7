"""Block Gibbs on CUDA: simulated with numpy in the place of torch, as PTX, and on a card.

Markers as in test_heat_bath.py. The pass that draws units reads the words of the CPU. Simulated,
matrix products are the CPU's as well: units agree but for words within rounding of a probability.
"""

import subprocess
import sys

import numba
import numpy as np
import pytest
from ptx import CAPABILITIES, compile_to_ptx
from statistical import assert_distribution, assert_refuted, chi_square, exact

from statmech_ml import sample
from statmech_ml.errors import InvalidInput
from statmech_ml.models import RBM, BernoulliRBM, GaussianRBM, PottsRBM
from statmech_ml.samplers import BlockGibbs, State


def normal(*shape, seed):
    return np.random.default_rng(seed).normal(size=shape)


def machine(kind, n_visible, n_hidden, **units):
    a, b = normal(n_visible, seed=1), normal(n_hidden, seed=2)
    return kind(a, b, normal(n_visible, n_hidden, seed=3) / np.sqrt(n_visible), **units)


def potts(hidden):
    a, w = normal(5, 3, seed=1), normal(5, 3, 4, seed=3)
    return PottsRBM(a, normal(4, seed=2), w, hidden=hidden)


MODELS = {
    "bits": machine(BernoulliRBM, 70, 5),  # more than a group of 64 words
    "spins": machine(RBM, 6, 67),
    "bits and spins": machine(RBM, 3, 2, visible="bits"),
    "normal hidden": machine(RBM, 6, 5, hidden="normal"),
    "levels and bits": potts("bits"),
    "levels and spins": potts("spins"),
    "levels and normal": potts("normal"),
    "real": machine(GaussianRBM, 5, 4, sigma=[0.5, 1.0, 2.0, 1.0, 0.7]),
    "real and spins": machine(GaussianRBM, 4, 3, sigma=0.8, hidden="spins"),
}
BETAS = np.array([0.3, 0.9, 1.4])

every_model = pytest.mark.parametrize("name", MODELS)


def start(model, seed, sweep=0):
    """A random state whose chains are not numbered from zero."""
    chains = np.array([4, 1, 70_000], np.uint32)
    return State(model.space.random(seed, chains), seed + 2**40, chains, sweep)


# --- in the simulator -----------------------------------------------------------------------------


@pytest.mark.cudasim
@pytest.mark.parametrize("precision", ["single", "double"])
@every_model
def test_simulator_agrees_with_the_cpu(name, precision, seed):
    model, sampler = MODELS[name], BlockGibbs(precision)
    state = start(model, seed, sweep=2**32 - 1)
    after, info = sampler.advance(model, state, BETAS, 3, "cuda")
    expected = sampler.advance(model, state, BETAS, 3)[0]
    assert after.x == pytest.approx(expected.x, rel=1e-12, abs=1e-12)
    assert after.x.dtype == model.space.dtype
    assert (after.sweep, after.seed, info) == (2**32 + 2, state.seed, {})
    assert not np.array_equal(after.x, state.x)
    part = sampler.advance(model, state, BETAS, 1, "cuda")[0]
    assert np.array_equal(sampler.advance(model, part, BETAS, 2, "cuda")[0].x, after.x)


@pytest.mark.cudasim
@pytest.mark.parametrize("name", ["bits", "levels and bits", "real"])
def test_clamped_units_keep_their_values(name, seed):
    model = MODELS[name]
    held = np.arange(model.space.size) % 3 == 1
    sampler, state = BlockGibbs(clamped=held), start(model, seed)
    after = sampler.advance(model, state, BETAS, 3, "cuda")[0]
    expected = sampler.advance(model, state, BETAS, 3)[0]
    assert np.array_equal(after.x[:, held], state.x[:, held])
    assert after.x == pytest.approx(expected.x, rel=1e-6, abs=1e-6)


@pytest.mark.cudasim
def test_a_small_grid_covers_everything(monkeypatch, seed):
    from statmech_ml.samplers._cuda import device

    monkeypatch.setattr(device, "_MAX_GRID", 2)
    monkeypatch.setattr(device, "_FEW", 5)
    for name in ("bits", "levels and bits", "real"):
        model, state = MODELS[name], start(MODELS[name], seed)
        after = BlockGibbs("double").advance(model, state, BETAS, 2, "cuda")[0]
        expected = BlockGibbs("double").advance(model, state, BETAS, 2)[0]
        assert after.x == pytest.approx(expected.x, rel=1e-12, abs=1e-12)


@pytest.mark.cudasim
def test_sample_on_either_device(seed):
    model = MODELS["bits and spins"]
    chain, twin = (
        sample(
            model, BlockGibbs(), beta=[0.5, 1.0], n_draws=5, burn_in=2, thin=2, rng=seed,
            device=device,
        )
        for device in ("cuda", "cpu")
    )  # fmt: skip
    assert np.array_equal(chain.states, twin.states)
    assert chain.provenance["device"] == "cuda"


@pytest.mark.cudasim
@pytest.mark.parametrize(
    "mutant",
    [
        lambda state, beta: (state._replace(seed=state.seed + 1), beta),
        lambda state, beta: (state._replace(chains=state.chains[::-1].copy()), beta),
        lambda state, beta: (state._replace(sweep=state.sweep + 1), beta),
    ],
    ids=["seed", "chains", "sweep"],
)
def test_a_mutant_is_seen(mutant, seed):
    """Two hundred units are drawn anew, so no mutant agrees by luck."""
    model, state = MODELS["bits"], start(MODELS["bits"], seed)
    expected = BlockGibbs().advance(model, state, BETAS, 2)[0].x
    wrong = BlockGibbs().advance(model, *mutant(state, BETAS), 2, "cuda")[0].x
    assert not np.array_equal(wrong, expected)


# --- what is refused ------------------------------------------------------------------------------


def test_conditional_laws_of_ones_own_are_refused():
    class Own(BernoulliRBM):
        def hidden_logits(self, v, beta, dtype=np.float64):
            return 0.5 * super().hidden_logits(v, beta, dtype)

    model = machine(Own, 4, 3)
    with pytest.raises(InvalidInput, match=r"(?s)conditional laws are numpy.*device='cpu'"):
        sample(model, BlockGibbs(), beta=1.0, n_draws=5, rng=1, device="cuda")


def test_torch_without_cuda_is_told(monkeypatch):
    import torch

    from statmech_ml.samplers._cuda import layers

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidInput, match=r"multiplies matrices by torch.*device='cpu'"):
        layers.Torch()


def test_torch_is_not_loaded_before_it_is_needed():
    code = "import sys, statmech_ml.samplers._cuda.layers; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_torch_and_numpy_multiply_alike():
    """The two array libraries of a run, torch on the CPU."""
    torch = pytest.importorskip("torch")
    from statmech_ml.samplers._cuda.layers import Host, Torch

    on, there = Host(), object.__new__(Torch)  # whose __init__ asks for a card
    there._torch = torch
    x, w, b = normal(4, 6, seed=1), normal(6, 3, seed=2), normal(3, seed=3)
    expected = on.linear(on.put(x), on.put(w), on.put(b))
    found = there.linear(*(torch.tensor(a) for a in (x, w, b)))
    assert there.fetched(found) == pytest.approx(expected, rel=1e-14)
    single = there.linear(torch.tensor(x), *(torch.tensor(a).float() for a in (w, b)))
    assert single.dtype == torch.float32


# --- as PTX, without a card -----------------------------------------------------------------------


@pytest.mark.ptx
@pytest.mark.parametrize("precision", [numba.types.float32, numba.types.float64], ids=str)
@pytest.mark.parametrize("kernel", ["draw_two", "draw_levels", "draw_normal"])
def test_kernels_compile(kernel, precision):
    from statmech_ml.samplers._cuda import layers

    t = numba.types
    field, scale, free = precision[:, ::1], precision[::1], t.uint8[::1]
    wide, tall = t.float64[::1], t.float64[:, ::1]
    address = t.uint64, t.uint32[::1], t.int64, t.int64
    signature = {
        "draw_two": (field, scale, t.int64, t.int64, free, *address, field),
        "draw_levels": (field, scale, t.int64, free, *address, field),
        "draw_normal": (field, wide, wide, free, *address, tall),
    }[kernel]
    for name, capability in CAPABILITIES.items():
        ptx = compile_to_ptx(getattr(layers, kernel), signature, capability)
        assert f".target {name}" in ptx


# --- on a card ------------------------------------------------------------------------------------


@pytest.mark.gpu
@every_model
def test_card_agrees_on_small_machines(name, seed):
    """In doubles a unit differs where its word lies within 1e-14 of its probability."""
    model, state = MODELS[name], start(MODELS[name], seed)
    after = BlockGibbs("double").advance(model, state, BETAS, 20, "cuda")[0]
    expected = BlockGibbs("double").advance(model, state, BETAS, 20)[0]
    assert after.x == pytest.approx(expected.x, rel=1e-9, abs=1e-9)


def final_states(betas_judged):
    """p-values of final states on a card, in single precision, against enumeration."""
    model, betas = MODELS["bits and spins"], (0.6, 1.4)

    def run(seed, scale):
        n = 100_000 * scale
        state = BlockGibbs().init(model, 2 * n, seed)
        x = BlockGibbs().advance(model, state, np.tile(betas, n), 30, "cuda")[0].x
        found = {}
        for k, beta in enumerate(betas_judged):
            counts = np.bincount(model.space.index(x[k::2]), minlength=model.space.n_states)
            found[f"at {beta}"] = chi_square(counts, exact(model, beta).probability)
        return found

    return run


@pytest.mark.gpu
def test_card_gives_the_law(seed):
    assert_distribution(final_states((0.6, 1.4)), seed)


@pytest.mark.gpu
def test_swapped_temperatures_are_refuted(seed):
    assert_refuted(final_states((1.4, 0.6)), seed)


@pytest.mark.gpu
def test_card_agrees_on_a_large_machine(seed, assert_unbiased):
    """784 x 500 in single precision: the mean free energies of two devices, other words on each."""
    model, beta = machine(BernoulliRBM, 784, 500), np.ones(1000)

    def run(seed, scale):
        energies = []
        for device, own in (("cuda", seed), ("cpu", seed + 1)):
            state = BlockGibbs().init(model, 1000, own)
            x = BlockGibbs().advance(model, state, beta, 50 * scale, device)[0].x
            energies.append(model.energy(x))
        apart = energies[0].mean() - energies[1].mean()
        return apart / np.sqrt(sum(e.var() for e in energies) / 1000)

    assert_unbiased(run, seed)
