"""The CUDA heat bath takes the same decisions as the CPU: in the simulator, as PTX, and on a card.

Tests marked `cudasim` run in a process of their own (NUMBA_ENABLE_CUDASIM=1), those marked `ptx`
need NVIDIA's compiler but no card, those marked `gpu` a card. Without a marker: what is refused.
"""

import inspect
import re
import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace
from typing import NamedTuple
from unittest import mock

import numba
import numpy as np
import pytest

from statmech_ml import _rng, lattices, sample, samplers
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import kaufman
from statmech_ml.graphs import Schedule
from statmech_ml.models import Ising
from statmech_ml.samplers import HeatBath
from statmech_ml.samplers._cpu import local as cpu
from statmech_ml.samplers.heat_bath import tabulate
from statmech_ml.spaces import Bits
from statmech_ml.systems import Model

# --- models: built in, and a user's own -----------------------------------------------------------


class GasArrays(NamedTuple):
    """A lattice gas as a user writes it: E = -a sum_<ij> n_i n_j - mu sum_i n_i, n_i in {0, 1}."""

    neighbours: np.ndarray
    attraction: float
    potential: float
    gaps: np.ndarray

    def link(self, x, site, k, value):
        j = self.neighbours[site, k]
        return 0 if j >= 0 and x[j] == value else -1

    def environment(self, x, site):
        occupied = 0
        for k in range(self.neighbours.shape[1]):
            if self.link(x, site, k, 1) >= 0:  # one capability through another
                occupied += 1
        return occupied

    def energy(self, x):
        total = 0.0
        for i in range(x.shape[0]):
            total -= x[i] * (0.5 * self.attraction * self.environment(x, i) + self.potential)
        return total

    def delta_energy(self, x, site, value):
        return (x[site] - value) * (self.attraction * self.environment(x, site) + self.potential)


def lattice_gas(lattice):
    neighbours = lattice.neighbours
    occupied = np.arange(neighbours.shape[1] + 1)
    arrays = GasArrays(neighbours, 1.5, -0.4, -(1.5 * occupied - 0.4))
    return Model(Bits(lattice.n_sites), arrays, lattice)


def plus_minus(lattice):
    signs = np.random.default_rng(7).choice([-1.0, 1.0], lattice.n_bonds)
    return Ising(lattice, coupling=0.5 * signs, field=0.3)


MODELS = {
    "torus 4x4": lambda: Ising(lattices.square(4)),
    "torus 4x6, J < 0, in a field": lambda: Ising(lattices.square(4, 6), coupling=-0.7, field=0.2),
    "torus 12x14": lambda: Ising(lattices.square(12, 14)),  # more than 64 sites of a colour
    "side of length 2": lambda: Ising(lattices.square(2, 4), field=-0.1),
    "odd torus 3x5": lambda: Ising(lattices.square(3, 5), coupling=0.8),
    "open 4x5": lambda: Ising(lattices.square(4, 5, boundary="open"), field=0.2),
    "triangular 4x5": lambda: Ising(lattices.triangular(4, 5), coupling=-1.0),
    "cubic 3": lambda: Ising(lattices.cubic(3), coupling=0.4),
    "+-J in a field": lambda: plus_minus(lattices.square(4, 6)),
    "graph": lambda: Ising(lattices.from_edges([(0, 1), (1, 2), (2, 0), (2, 3)], n_sites=6)),
    "a user's lattice gas": lambda: lattice_gas(lattices.triangular(3, 4)),
}
BETAS = np.array([0.0, 0.37, 1.4])

every_model = pytest.mark.parametrize("name", MODELS)


def start(model, seed, sweep=0):
    """A random state whose chains are not numbered from zero."""
    chains = np.array([4, 1, 70_000], np.uint32)
    return samplers.base.State(model.space.random(seed, chains), seed + 2**40, chains, sweep)


def on_cpu(model, state, n_sweeps, limits=None):
    """The generic CPU kernel, whatever twin `HeatBath` would choose."""
    x = state.x.copy()
    high, low = tabulate(model, BETAS) if limits is None else limits
    schedule = model.schedule
    cpu.heat_bath_tabulated(
        model.arrays, x, high, low, model.space.values, schedule.order, schedule.starts,
        state.chains, np.uint64(state.seed), state.sweep, n_sweeps, np.empty(64, np.uint32),
    )  # fmt: skip
    return x


def on_cuda(model, state, n_sweeps, limits=None):
    from statmech_ml.samplers._cuda.local import heat_bath

    x = state.x.copy()
    high, low = tabulate(model, BETAS) if limits is None else limits
    heat_bath(model, x, high, low, state, n_sweeps)
    return x


# --- in the simulator -----------------------------------------------------------------------------


@pytest.mark.cudasim
@every_model
def test_simulator_agrees_with_both_cpu_twins(name, seed):
    model, sampler = MODELS[name](), HeatBath()
    state = start(model, seed)
    after, info = sampler.advance(model, state, BETAS, 3, "cuda")
    assert np.array_equal(after.x, on_cpu(model, state, 3))
    assert np.array_equal(after.x, sampler.advance(model, state, BETAS, 3)[0].x)
    assert (after.sweep, after.seed, info) == (3, state.seed, {})
    assert after.x.dtype == np.int8
    assert not np.shares_memory(after.x, state.x)


@pytest.mark.cudasim
@pytest.mark.parametrize("first", [0, 1, 2**32 - 2])
def test_resumed_at_any_sweep(first, seed):
    """One run of five sweeps, or two parts; the second counter word carries past 32 bits."""
    model, sampler = Ising(lattices.square(3, 4), field=0.1), HeatBath()
    state = start(model, seed, first)
    part = sampler.advance(model, state, BETAS, 2, "cuda")[0]
    whole = sampler.advance(model, part, BETAS, 3, "cuda")[0]
    assert np.array_equal(whole.x, on_cpu(model, state, 5))
    assert np.array_equal(part.x, on_cpu(model, state, 2))


@pytest.mark.cudasim
def test_chains_are_independent_of_their_batch(seed):
    model, sampler = Ising(lattices.square(4, 4)), HeatBath()
    state = start(model, seed)
    alone = state._replace(x=state.x[1::2], chains=state.chains[1::2])
    batch = sampler.advance(model, state, BETAS, 2, "cuda")[0].x
    assert np.array_equal(sampler.advance(model, alone, BETAS[1::2], 2, "cuda")[0].x, batch[1::2])


@pytest.mark.cudasim
def test_sample_on_either_device(seed):
    model = Ising(lattices.square(4, 4), coupling=-1.0, field=0.5)
    chain, twin = (
        sample(model, beta=[0.2, 0.6], n_draws=6, burn_in=2, thin=2, rng=seed, device=device)
        for device in ("cuda", "cpu")
    )
    assert np.array_equal(chain.states, twin.states)
    assert np.array_equal(chain.energy, twin.energy)
    assert chain.final.sweep == twin.final.sweep == 14
    assert chain.provenance["device"] == "cuda"
    assert chain.provenance["stream"] == twin.provenance["stream"]
    more = sample(model, beta=[0.2, 0.6], n_draws=2, start=chain.final, device="cuda")
    less = sample(model, beta=[0.2, 0.6], n_draws=2, start=twin.final)
    assert np.array_equal(more.states, less.states)


@pytest.mark.cudasim
def test_a_small_grid_covers_everything(monkeypatch, seed):
    """Threads stride over the blocks of a batch that is larger than the grid."""
    from statmech_ml.samplers._cuda import local

    monkeypatch.setattr(local, "MAX_GRID", 2)
    monkeypatch.setattr(local, "THREADS", 5)
    model = Ising(lattices.square(12, 14))
    state = start(model, seed)
    assert np.array_equal(on_cuda(model, state, 2), on_cpu(model, state, 2))


@pytest.mark.cudasim
def test_ties_are_decided_by_the_low_half(seed):
    """High halves that equal the word they are compared with, which chance does once in 2^32."""
    model = Ising(lattices.square(4, 4))
    state = start(model, seed)
    position, environments = 5, len(model.arrays.gaps)
    word = _rng.words(state.seed, state.chains, 0, _rng.LOCAL, 0, 64)[:, position]
    low_word = _rng.words(state.seed, state.chains, 0, _rng.LOCAL_LOW, 0, 64)[:, position]
    site = model.schedule.order[position]
    high = np.repeat(word[:, None], environments, axis=1)
    for low, expected in [(low_word, -1), (low_word + np.uint32(1), 1)]:
        limits = high, np.repeat(low[:, None], environments, axis=1)
        x = on_cuda(model, state, 1, limits)
        assert (x[:, site] == expected).all()
        assert np.array_equal(x, on_cpu(model, state, 1, limits))


def reversed_colours(model):
    order, starts = model.schedule.order, model.schedule.starts
    parts = [order[a:b] for a, b in pairwise(starts)][::-1]
    ends = np.cumsum([0, *map(len, parts)])
    schedule = Schedule(np.concatenate(parts), ends)
    return SimpleNamespace(arrays=model.arrays, space=model.space, schedule=schedule)


@pytest.mark.cudasim
@pytest.mark.parametrize(
    "mutant",
    [
        lambda model, state, limits: (model, state._replace(seed=state.seed + 1), limits),
        lambda model, state, limits: (model, state._replace(chains=state.chains[::-1]), limits),
        lambda model, state, limits: (model, state._replace(sweep=state.sweep + 1), limits),
        lambda model, state, limits: (model, state, [half[:, ::-1] for half in limits]),
        lambda model, state, limits: (model, state, [half[::-1] for half in limits]),
        lambda model, state, limits: (reversed_colours(model), state, limits),
    ],
    ids=["seed", "chains", "sweep", "sign of the gaps", "betas", "order of the colours"],
)
def test_a_mutant_is_seen(mutant, seed):
    """Hundreds of spins are drawn anew, so no mutant agrees by luck."""
    model = Ising(lattices.square(12, 12), field=0.1)
    state, limits = start(model, seed), tabulate(model, BETAS)
    expected = on_cpu(model, state, 2, limits)
    assert np.array_equal(on_cuda(model, state, 2, limits), expected)
    model, state, limits = mutant(model, state, limits)
    assert not np.array_equal(on_cuda(model, state, 2, limits), expected)


# --- what is refused ------------------------------------------------------------------------------


def glass():
    lattice = lattices.square(4)
    return Ising(lattice, coupling=np.random.default_rng(1).normal(size=lattice.n_bonds))


def without_lattice():
    model = lattice_gas(lattices.square(4))
    return Model(model.space, model.arrays)


@pytest.mark.parametrize("model", [glass, without_lattice])
def test_model_that_cannot_run_on_cuda(model):
    with pytest.raises(InvalidInput, match=r"(?s)few local environments.*device='cpu'"):
        sample(model(), beta=0.3, n_chains=2, n_draws=5, rng=1, device="cuda")


ON_CPU_ONLY = [
    kind
    for kind in map(samplers.__dict__.get, samplers.__all__)
    # A sampler around another one asks that one where it runs: a property, no tuple.
    if isinstance(getattr(kind, "devices", None), tuple) and "cuda" not in kind.devices
    if not inspect.isabstract(kind)
]


@pytest.mark.parametrize("sampler", ON_CPU_ONLY)
def test_sampler_that_cannot_run_on_cuda(sampler):
    with pytest.raises(InvalidInput, match="does not run on 'cuda', only on cpu"):
        sample(
            Ising(lattices.square(4)), sampler(), beta=0.3, n_chains=2, n_draws=5, rng=1,
            device="cuda",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("installed", "problem"),
    [(True, "no usable CUDA device"), (False, "numba-cuda is not installed")],
)
def test_no_card_or_no_package(monkeypatch, installed, problem):
    from statmech_ml.samplers._cuda import device

    monkeypatch.setattr(device, "find_spec", lambda name: installed or None)
    monkeypatch.setattr(device.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidInput, match=problem) as caught:
        sample(Ising(lattices.square(4)), beta=0.3, n_draws=5, rng=1, device="cuda")
    assert 'pip install "statmech-ml[gpu]"' in str(caught.value)
    assert "device='cpu'" in str(caught.value)


def test_numba_cuda_is_not_loaded_on_import():
    code = "import sys, statmech_ml.chains; print('numba.cuda' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# --- as PTX, without a card -----------------------------------------------------------------------


def compile_to_ptx(model, capability):
    """PTX of the kernel for this model.

    When a kernel calls another function, numba-cuda asks the current device for its compute
    capability; without a driver there is none, so this supplies one.
    """
    from numba import cuda

    from statmech_ml.samplers._cuda import device, local

    device.register_methods()
    t = numba.types
    signature = (
        numba.typeof(model.arrays), t.int8[:, ::1], t.uint32[:, ::1], t.uint32[:, ::1], t.int8,
        t.int8, t.int32[::1], t.int64, t.int64, t.uint32[::1], t.uint64, t.int64, t.int64,
    )  # fmt: skip
    current = SimpleNamespace(compute_capability=capability)
    with mock.patch("numba.cuda.dispatcher.get_current_device", return_value=current):
        return cuda.compile_ptx(local.update_colour.py_func, signature, cc=capability)[0]


@pytest.mark.ptx
@pytest.mark.parametrize("capability", [(8, 0), (9, 0)], ids=["sm_80", "sm_90"])
@pytest.mark.parametrize("name", ["odd torus 3x5", "+-J in a field", "a user's lattice gas"])
def test_kernel_compiles(name, capability):
    ptx = compile_to_ptx(MODELS[name](), capability)
    assert ".target sm_{}{}".format(*capability) in ptx
    assert ".visible .entry" in ptx
    # The device computes with integers only: that is why it takes the CPU's decisions.
    assert not re.search(r"\b(add|sub|mul|div|fma|setp|cvt)\S*\.f(32|64)\b", ptx)


@pytest.mark.ptx
def test_cpu_is_unmoved_by_compiling_for_cuda(monkeypatch, tmp_path, seed):
    """Methods registered once more for CUDA leave those of the CPU alone."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))  # compile, do not load
    model = MODELS["a user's lattice gas"]()
    compile_to_ptx(model, (9, 0))
    x = model.space.random(seed, np.arange(4, dtype=np.uint32))
    assert np.allclose(model.energy(x), [model.arrays.energy(one) for one in x])


# --- on a card ------------------------------------------------------------------------------------


@pytest.mark.gpu
@every_model
def test_card_agrees_on_small_systems(name, seed):
    model = MODELS[name]()
    state = start(model, seed)
    assert np.array_equal(on_cuda(model, state, 20), on_cpu(model, state, 20))


@pytest.mark.gpu
@pytest.mark.parametrize("field", [0.0, 0.01])
def test_card_agrees_on_large_lattices(field, seed):
    model, sampler = Ising(lattices.square(256, 256), field=field), HeatBath()
    betas = np.linspace(0.2, 0.6, 16)
    state = sampler.init(model, len(betas), seed)
    after = sampler.advance(model, state, betas, 50, "cuda")[0]
    assert np.array_equal(after.x, sampler.advance(model, state, betas, 50)[0].x)


def energy_z(exact_beta):
    """run(seed, scale): z of the energy at beta = 0.35 against Kaufman's at `exact_beta`."""

    def run(seed, scale):
        chain = sample(
            Ising(lattices.square(256, 256)), beta=0.35, n_chains=8, n_draws=400 * scale,
            burn_in=200, rng=seed, keep_states=False, device="cuda",
        )  # fmt: skip
        found = chain.estimate("energy_per_site")
        return (found.value - kaufman.energy_per_site(256, 256, exact_beta)) / found.stderr

    return run


@pytest.mark.gpu
def test_card_gives_the_energy_of_the_torus(assert_unbiased, seed):
    assert_unbiased(energy_z(0.35), seed)


@pytest.mark.gpu
def test_energy_of_another_temperature_is_rejected(assert_rejected, seed):
    assert_rejected(energy_z(0.351), seed)
