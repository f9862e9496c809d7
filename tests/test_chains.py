"""`sample` and `Chain`: shapes, continuation, interrupts, saving, warnings, and bad input."""

import dataclasses
import os
import warnings
from typing import NamedTuple

import numpy as np
import pytest
from langevin_laws import in_batches

from statmech_ml import Chain, lattices, sample
from statmech_ml.chains import equilibration
from statmech_ml.errors import (
    EquilibrationWarning,
    InvalidInput,
    MissingCapability,
    ShortChain,
    StoreError,
)
from statmech_ml.models import BernoulliRBM, DoubleWell, Funnel, Gaussian, Ising, Quartic
from statmech_ml.samplers import (
    BAOAB,
    MALA,
    SGHMC,
    SGLD,
    ULA,
    BlockGibbs,
    HeatBath,
    Metropolis,
    State,
    SwendsenWang,
    Wolff,
)
from statmech_ml.spaces import Spins
from statmech_ml.systems import Model

RING = Ising(lattices.chain(6))
TORUS = Ising(lattices.square(4))
WELL = DoubleWell(tilt=0.3, dim=2)
RBM = BernoulliRBM([0.1, -0.2, 0.3], [0.5, 0.0], [[1.0, -1.0], [0.5, 0.2], [-0.3, 0.8]])


def same(a: Chain, b: Chain) -> bool:
    return (
        np.array_equal(a.energy, b.energy)
        and np.array_equal(a.states, b.states)
        and np.array_equal(a.beta, b.beta)
        and a.final.seed == b.final.seed
        and a.final.sweep == b.final.sweep
        and np.array_equal(a.final.x, b.final.x)
        and np.array_equal(a.final.chains, b.final.chains)
        and a.observables.keys() == b.observables.keys()
        and all(np.array_equal(a.observables[k], b.observables[k]) for k in a.observables)
        and all(np.array_equal(a.info[k], b.info[k]) for k in a.info)
        and a.sampler == b.sampler
        and (a.thin, a.n_sites, a.interrupted) == (b.thin, b.n_sites, b.interrupted)
        and a.boltzmann == b.boltzmann
    )


class Squared(NamedTuple):
    """Weighs configurations with exp(-beta E - (beta E)^2 / 10), which is no exp(-beta E)."""

    size: int

    def energy(self, x):
        total = 0.0
        for i in range(self.size - 1):
            total -= x[i] * x[i + 1]
        return total

    def reduced_energy(self, x, beta):
        u = beta * self.energy(x)
        return u + 0.1 * u * u

    def delta_reduced_energy(self, x, site, value, beta):
        old = self.reduced_energy(x, beta)
        y = x.copy()
        y[site] = value
        return self.reduced_energy(y, beta) - old


@dataclasses.dataclass(frozen=True)
class Relabelled(HeatBath):
    """A sampler that is not part of the package."""

    label: object = "mine"


# --- what comes out -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "sampler"),
    [
        (TORUS, HeatBath()),
        (TORUS, Metropolis()),
        (TORUS, Wolff()),
        (TORUS, SwendsenWang()),
        (RBM, BlockGibbs()),
        (RBM.joint(), HeatBath()),
        (WELL, MALA()),
    ],
    ids=str,
)
@pytest.mark.parametrize("n_chains", [1, 3])
def test_shapes_and_energies(model, sampler, n_chains):
    chain = sample(model, sampler, beta=0.4, n_chains=n_chains, n_draws=7, burn_in=3, thin=2, rng=1)
    assert chain.states.shape == (n_chains, 7, model.space.size)
    assert chain.states.dtype == model.space.dtype
    assert chain.energy.shape == (n_chains, 7)
    assert chain.energy.dtype == np.float64
    assert np.array_equal(chain.energy, model.energy(chain.states))
    assert (chain.n_chains, chain.n_draws) == (n_chains, 7)
    assert chain.final.sweep == 3 + 7 * 2
    assert np.array_equal(chain.final.x, chain.states[:, -1])
    assert not chain.interrupted
    assert all(values.shape == (n_chains, 7) for values in chain.info.values())
    assert chain.provenance["stream"] == sampler.stream


def test_defaults():
    chain = sample(RING, beta=0.4, n_draws=100, rng=1)
    assert isinstance(chain.sampler, HeatBath)
    assert chain.n_chains == 4
    assert chain.final.sweep == 120
    assert sample(RING, beta=[0.1, 0.2, 0.3], n_draws=2, rng=1).n_chains == 3


def test_temperature_is_one_over_beta():
    warm = sample(TORUS, temperature=[2.0, 4.0], n_draws=30, rng=3)
    assert warm.beta.tolist() == [0.5, 0.25]
    assert same(warm, sample(TORUS, beta=[0.5, 0.25], n_draws=30, rng=3))


def test_keep_states_false_changes_nothing_else():
    arguments = {"beta": 0.4, "n_draws": 20, "rng": 1, "n_chains": 2}
    full, lean = sample(TORUS, **arguments), sample(TORUS, keep_states=False, **arguments)
    assert lean.states is None
    assert np.array_equal(full.energy, lean.energy)
    assert np.array_equal(full.final.x, lean.final.x)


def test_observables_are_measured_on_the_way():
    asked = {
        "first": lambda x: x[:, 0],
        "pair": lambda x: x[:, :2],
        "sign": lambda x: x.sum(axis=1) > 0,
        "m": "abs_magnetization",
    }
    chain = sample(TORUS, beta=0.4, n_draws=9, n_chains=3, rng=1, observables=asked)
    states = chain.states.astype(float)
    assert np.array_equal(chain.observables["magnetization"], states.sum(axis=-1))
    assert np.array_equal(chain.observables["first"], states[..., 0])
    assert np.array_equal(chain.observables["pair"], states[..., :2])
    assert np.array_equal(chain.observables["sign"], states.sum(axis=-1) > 0)
    assert np.array_equal(chain.observables["m"], np.abs(states.sum(axis=-1)))


def test_an_observable_that_changes_its_argument_does_not_change_the_chain():
    def vandal(x):
        x[:] = 1
        return x[:, 0]

    arguments = {"beta": 0.4, "n_draws": 20, "rng": 1}
    spoilt = sample(TORUS, observables={"v": vandal}, **arguments)
    assert np.array_equal(spoilt.states, sample(TORUS, **arguments).states)


def test_starts():
    ordered = sample(
        TORUS, Wolff(), beta=50.0, n_chains=2, n_draws=1, burn_in=0, start="ordered", rng=1
    )
    assert ordered.energy.tolist() == [[-32.0], [-32.0]]
    given = np.ones((2, 16), int)
    given[1] = -1
    chain = sample(TORUS, beta=50.0, n_chains=2, n_draws=1, burn_in=0, start=given, rng=1)
    assert np.array_equal(chain.states[:, 0], given)
    one = sample(TORUS, beta=50.0, n_chains=3, n_draws=1, burn_in=0, start=-np.ones(16), rng=1)
    assert (one.states == -1).all()
    assert (given == [[1] * 16, [-1] * 16]).all()


# --- continuing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "sampler"),
    [(TORUS, HeatBath()), (TORUS, SwendsenWang()), (RBM, BlockGibbs()), (WELL, MALA())],
    ids=str,
)
@pytest.mark.parametrize("thin", [1, 3])
def test_a_run_in_two_parts_is_the_run_in_one(model, sampler, thin):
    arguments = {"beta": [0.4, 0.5, 0.4], "thin": thin}
    whole = sample(model, sampler, n_draws=20, burn_in=40, rng=5, **arguments)
    first = sample(model, sampler, n_draws=8, burn_in=40, rng=5, **arguments)
    second = sample(model, first.sampler, n_draws=12, start=first.final, **arguments)
    assert np.array_equal(np.concatenate([first.energy, second.energy], axis=1), whole.energy)
    assert np.array_equal(second.final.x, whole.final.x)
    assert second.final.sweep == whole.final.sweep


@pytest.mark.parametrize(("model", "sampler"), [(TORUS, Wolff()), (WELL, MALA())], ids=str)
def test_the_chains_at_one_beta_continue_as_they_would_in_company(model, sampler):
    beta = [0.4, 0.6, 0.4]
    chain = sample(model, sampler, beta=beta, n_draws=10, burn_in=40, rng=5)
    part = chain.at(0.4)
    assert part.n_chains == 2
    assert np.array_equal(part.states, chain.states[[0, 2]])
    whole = sample(model, chain.sampler, beta=beta, n_draws=10, start=chain.final)
    alone = sample(model, part.sampler, beta=0.4, n_draws=10, start=part.final)
    assert np.array_equal(alone.states, whole.states[[0, 2]])


def test_at_an_unknown_beta():
    chain = sample(TORUS, temperature=[2.0, 3.0], n_draws=5, rng=1)
    assert chain.at(1 / 3.0).n_chains == 1
    with pytest.raises(InvalidInput, match=r"No chain ran at beta=0\.7; there are"):
        chain.at(0.7)


@pytest.mark.parametrize(("model", "sampler"), [(TORUS, HeatBath()), (WELL, MALA())], ids=str)
@pytest.mark.parametrize("stop", [1, 7])
def test_an_interrupt_returns_what_is_done_and_continues_bit_for_bit(model, sampler, stop):
    arguments = {"beta": 0.4, "n_chains": 2, "thin": 2}
    whole = sample(model, sampler, n_draws=12, burn_in=25, rng=9, **arguments)
    calls = 0

    def interrupting(x):
        nonlocal calls
        calls += 1
        if calls == stop + 2:  # once for the start, once per draw
            raise KeyboardInterrupt
        return x[:, 0]

    first = sample(
        model, sampler, n_draws=12, burn_in=25, rng=9, observables={"o": interrupting}, **arguments
    )
    assert first.interrupted
    assert first.n_draws == stop
    assert np.array_equal(first.energy, whole.energy[:, :stop])
    assert all(v.shape[:2] == (2, stop) for v in (*first.observables.values(), first.states))
    rest = sample(model, first.sampler, n_draws=12 - stop, start=first.final, **arguments)
    assert np.array_equal(rest.states, whole.states[:, stop:])


def test_an_interrupt_before_the_first_draw_stops():
    def interrupting(x, calls=[]):  # noqa: B006 - counts across calls on purpose
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return x[:, 0]

    with pytest.raises(KeyboardInterrupt):
        sample(TORUS, beta=0.4, n_draws=5, rng=1, observables={"o": interrupting})


# --- estimates ------------------------------------------------------------------------------------


def test_estimates_need_one_beta():
    chain = sample(TORUS, SwendsenWang(), beta=[0.2, 0.3], n_draws=500, rng=1)
    for name in ("energy", "energy_per_site", "specific_heat", "binder", "magnetization"):
        with pytest.raises(InvalidInput, match=r"2 different betas.*chain\.at\(beta\)"):
            chain.estimate(name)
        assert np.isfinite(chain.at(0.2).estimate(name).value)


def test_estimates_of_unknown_and_vector_observables():
    chain = sample(TORUS, beta=0.2, n_draws=300, rng=1, observables={"pair": lambda x: x[:, :2]})
    with pytest.raises(InvalidInput, match=r"'heat' is unknown\. There are .*specific_heat"):
        chain.estimate("heat")
    with pytest.raises(InvalidInput, match="no scalar series"):
        chain.estimate("pair")
    assert chain.estimate("energy").value == pytest.approx(chain.energy.mean())


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("name", ["energy_per_site", "specific_heat"])
def test_thermal_quantities_need_beta_times_the_energy(beta, name):
    """At beta = 1 too: d/dbeta acts inside the free energy of an RBM."""
    chain = sample(RBM, BlockGibbs(), beta=beta, n_chains=4, n_draws=500, rng=1)
    assert not chain.boltzmann
    assert not chain.at(beta).boltzmann
    with pytest.raises(InvalidInput, match=r"reduced energy is not beta .* rbm\.joint\(\)"):
        chain.estimate(name)
    assert chain.estimate("energy").value == chain.energy.mean()
    joint = sample(RBM.joint(), beta=beta, n_chains=4, n_draws=500, rng=1)
    assert joint.boltzmann
    if beta:
        assert np.isfinite(joint.estimate(name).value)


def test_models_with_a_reduced_energy_of_their_own_are_recognised():
    model = Model(Spins(6), Squared(6))
    for start in ("random", "ordered"):
        chain = sample(model, Metropolis(), beta=0.3, n_draws=400, start=start, rng=1)
        assert not chain.boltzmann
        with pytest.raises(InvalidInput, match="'susceptibility' is derived for ensembles"):
            chain.estimate("susceptibility")
        assert np.isfinite(chain.estimate("binder").value)
    for model, sampler in [(TORUS, HeatBath()), (WELL, MALA())]:
        assert sample(model, sampler, beta=[0.0, 0.7], n_draws=5, rng=1).boltzmann


def test_a_built_in_observable_under_its_own_name_changes_no_estimate():
    names = {name: name for name in ("magnetization", "abs_magnetization")}
    chain = sample(TORUS, beta=0.2, n_draws=300, rng=1, observables=names)
    plain = sample(TORUS, beta=0.2, n_draws=300, rng=1)
    for name in names:
        assert chain.estimate(name) == plain.estimate(name)
    total = chain.observables["abs_magnetization"]
    assert np.array_equal(total, np.abs(plain.observables["magnetization"]))


def test_betas_that_differ_by_rounding_are_one():
    betas = [0.3, 0.3 * (1 + 1e-13), 0.3 * (1 - 1e-13), 0.5]
    chain = sample(TORUS, SwendsenWang(), beta=betas, n_draws=300, rng=1)
    for beta in betas[:3]:
        assert chain.at(beta).n_chains == 3
        assert np.isfinite(chain.at(beta).estimate("specific_heat").value)
    with pytest.raises(InvalidInput, match="2 different betas"):
        chain.estimate("energy")
    apart = sample(TORUS, beta=[0.3, 0.3 * (1 + 1e-9), 0.0], n_draws=5, rng=1)
    assert [apart.at(beta).n_chains for beta in apart.beta] == [1, 1, 1]


@pytest.mark.parametrize("beta", ["x", None, [0.2, 0.3], 1j, np.nan])
def test_at_takes_one_number(beta):
    chain = sample(TORUS, beta=[0.2, 0.3], n_draws=5, rng=1)
    with pytest.raises(
        InvalidInput, match=r"not a number|one number|No chain ran at beta=(nan|None)"
    ):
        chain.at(beta)


@pytest.mark.parametrize(
    ("late", "message"),
    [
        (lambda x: x[:, :1], r"'o' returned shape \(4, 1\) at draw 2, but \(4, 2\) at the start"),
        (lambda x: x[0, 0], r"'o' returned shape \(\) at draw 2"),
        (lambda x: [[1], [2, 3], [4], [5]], "'o' returned no array of numbers at draw 2"),
        (lambda x: x[:, :2] * 1j, "'o' is complex at draw 2"),
    ],
    ids=["shape", "scalar", "ragged", "complex"],
)
def test_an_observable_that_changes_its_mind_is_named_with_the_draw(late, message):
    calls = []

    def o(x):
        calls.append(1)
        return x[:, :2] if len(calls) <= 3 else late(x)  # the start, draws 0 and 1

    with pytest.raises(InvalidInput, match=message):
        sample(TORUS, beta=0.4, n_draws=5, rng=1, observables={"o": o})


def test_complex_observables_are_kept():
    asked = {"z": lambda x: x[:, 0] + 1j * x[:, 1]}
    chain = sample(TORUS, beta=0.4, n_draws=5, rng=1, observables=asked)
    assert np.array_equal(chain.observables["z"].imag, chain.states[..., 1])


def test_a_short_chain_says_so_and_carries_its_estimate():
    chain = sample(TORUS, beta=0.5, n_chains=1, n_draws=30, burn_in=50, rng=1)
    with pytest.raises(ShortChain) as info:
        chain.estimate("energy")
    assert info.value.partial is not None
    assert np.isfinite(chain.estimate("energy", on_short="accept").value)


def test_arviz_sees_the_series():
    chain = sample(TORUS, beta=0.2, n_chains=2, n_draws=60, rng=1)
    data = chain.to_arviz()
    assert data.posterior["energy"].shape == (2, 60)
    assert np.array_equal(data.posterior["magnetization"], chain.observables["magnetization"])


# --- warnings -------------------------------------------------------------------------------------


def test_chains_that_disagree_are_reported():
    start = np.ones((4, 256), int)
    start[2:].reshape(2, 16, 16)[:, ::2] = -1  # stripes, which heat bath does not leave at T = 0.1
    start[2:].reshape(2, 16, 16)[:, :8] = 1
    start[2:].reshape(2, 16, 16)[:, 8:] = -1
    with pytest.warns(EquilibrationWarning, match="disagree"):
        sample(
            Ising(lattices.square(16)),
            beta=0.8,
            n_chains=4,
            n_draws=100,
            burn_in=0,
            start=start,
            rng=1,
        )


def test_langevin_moves_that_are_never_accepted_are_reported():
    with pytest.warns(EquilibrationWarning, match="never moved"):
        sample(WELL, MALA(1e4, adapt=False), beta=1.0, n_chains=2, n_draws=60, burn_in=0, rng=1)


DIVERGING = [
    (ULA(2.1), 300), (ULA(2.5), 200), (SGLD(2.1), 300), (BAOAB(2.1), 100),
    (SGHMC(2.1, friction=0.5), 200),
]  # fmt: skip
UNEVEN = [
    (in_batches(Funnel()), ULA(0.03), "random"),  # excursions into the neck
    (in_batches(Quartic()), BAOAB(0.02), "random"),
    (in_batches(DoubleWell()), ULA(0.03), "random"),
    (Gaussian(dim=200), ULA(1e-4), np.zeros(200)),  # climbs from the bottom for all of the run
    (Gaussian(dim=200), BAOAB(1e-3), np.zeros(200)),
    (Gaussian(dim=200), ULA(1e-2), np.full(200, 100.0)),  # falls by six orders of magnitude
]


@pytest.mark.parametrize(("sampler", "n_draws"), DIVERGING, ids=repr)
def test_chains_that_diverge_and_stay_finite_are_reported(sampler, n_draws):
    """Steps too long for N(0, 1), whose energies are finite for a while yet."""
    with pytest.warns(EquilibrationWarning, match=r"8 of 8 chains of .* diverge.* smaller step"):
        chain = sample(Gaussian(), sampler, beta=1.0, n_chains=8, n_draws=n_draws, rng=1)
    assert np.isfinite(chain.energy).all()


@pytest.mark.parametrize(("model", "sampler", "start"), UNEVEN, ids=repr)
def test_long_burn_ins_and_heavy_tails_do_not_diverge(model, sampler, start):
    """By orders of magnitude, at 50 draws, where half of a run is burn-in, and at 1000."""
    for n_draws in (50, 1000):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EquilibrationWarning)  # some drift, as they should
            chain = sample(
                model, sampler, beta=1.0, n_chains=8, n_draws=n_draws, burn_in=0, start=start,
                rng=n_draws,
            )  # fmt: skip
        climbed = equilibration.growth(chain.energy, chain.beta)
        assert climbed.max() < 0.01 * equilibration.MAX_GROWTH


def test_equilibrium_is_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sample(TORUS, SwendsenWang(), beta=0.4, n_draws=500, rng=1)
        sample(TORUS, beta=20.0, n_draws=60, start="ordered", rng=1)  # the ground state is still


def test_the_warm_up_finds_the_step_of_each_chain():
    chain = sample(WELL, MALA(5.0), beta=[0.5, 2.0, 8.0], n_draws=300, burn_in=600, rng=1)
    steps = chain.sampler.step_size
    assert len(steps) == 3
    assert steps[0] > steps[1] > steps[2]
    assert not chain.sampler.adapt
    assert np.abs(chain.info["acceptance"].mean(axis=1) - 0.574).max() < 0.15
    fixed = sample(WELL, MALA(0.1, adapt=False), beta=1.0, n_draws=5, burn_in=50, rng=1)
    assert fixed.sampler.step_size == 0.1


def test_steps_are_plain_numbers_however_they_are_given():
    assert MALA(np.float32(0.5)).step_size == 0.5
    assert MALA([0.1, 0.2]) == MALA((0.1, 0.2)) == MALA(np.array([0.1, 0.2]))


# --- saving ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "sampler"),
    [(TORUS, Metropolis("checkerboard")), (RBM, BlockGibbs()), (WELL, MALA())],
    ids=str,
)
@pytest.mark.parametrize("keep_states", [True, False])
def test_a_saved_chain_is_the_same_chain_and_continues(tmp_path, model, sampler, keep_states):
    if isinstance(sampler, Metropolis):
        model = Ising(lattices.square(4), field=0.1)
    arguments = {"beta": [0.4, 0.5], "thin": 2}
    chain = sample(model, sampler, n_draws=6, rng=2, keep_states=keep_states, **arguments)
    chain.save(tmp_path / "run.zarr")
    loaded = Chain.load(tmp_path / "run.zarr")
    if keep_states:
        assert same(loaded, chain)
    assert loaded.provenance == chain.provenance
    assert os.listdir(tmp_path) == ["run.zarr"]
    one = sample(model, chain.sampler, n_draws=4, start=chain.final, **arguments)
    two = sample(model, loaded.sampler, n_draws=4, start=loaded.final, **arguments)
    assert same(one, two)


def test_a_store_is_never_overwritten(tmp_path):
    chain = sample(TORUS, beta=0.4, n_draws=3, rng=2)
    chain.save(tmp_path / "run.zarr")
    with pytest.raises(StoreError, match="exists"):
        chain.save(tmp_path / "run.zarr")


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    chain = sample(TORUS, beta=0.4, n_draws=3, rng=2)
    with pytest.raises(StoreError, match="cannot be written"):
        chain.save(tmp_path / "file" / "run.zarr")


def test_a_chain_of_a_sampler_that_is_not_part_of_the_package(tmp_path):
    chain = sample(TORUS, Relabelled(label="a"), beta=0.4, n_draws=3, thin=np.int64(2), rng=2)
    chain.save(tmp_path / "run.zarr")
    for known in (None, {"Other": Relabelled}):
        with pytest.raises(
            StoreError, match=r"Relabelled of the module .* samplers=\{'Relabelled'"
        ):
            Chain.load(tmp_path / "run.zarr", samplers=known)
    assert same(Chain.load(tmp_path / "run.zarr", samplers={"Relabelled": Relabelled}), chain)
    with pytest.raises(StoreError, match="no class of samplers"):
        Chain.load(tmp_path / "run.zarr", samplers={"Relabelled": print})
    with pytest.raises(StoreError, match=r"'label': 'a'.*which HeatBath does not take"):
        Chain.load(tmp_path / "run.zarr", samplers={"Relabelled": HeatBath})


@pytest.mark.parametrize(
    "label", [np.ones(2), [1, 2], object(), {1: 2}], ids=["array", "list", "object", "dict"]
)
def test_settings_that_would_not_come_back_are_refused(tmp_path, label):
    chain = sample(TORUS, Relabelled(label=label), beta=0.4, n_draws=3, rng=2)
    with pytest.raises(StoreError, match="cannot be saved"):
        chain.save(tmp_path / "run.zarr")
    assert not os.listdir(tmp_path)


def test_a_sampler_cannot_pass_for_one_of_the_package(tmp_path):
    fake = type("HeatBath", (Relabelled,), {})
    sample(TORUS, fake(), beta=0.4, n_draws=3, rng=2).save(tmp_path / "run.zarr")
    with pytest.raises(StoreError, match="sampler HeatBath of the module"):
        Chain.load(tmp_path / "run.zarr")


@pytest.mark.parametrize(
    "name",
    ["seed", "sweep", "n_sites", "thin", "boltzmann", "interrupted", "sampler", "provenance"],
)
def test_edited_attributes_are_noticed(tmp_path, name):
    import zarr

    sample(TORUS, beta=0.4, n_draws=3, rng=2).save(tmp_path / "run.zarr")
    attributes = zarr.open_group(tmp_path / "run.zarr", mode="a").attrs
    kept = attributes[name]
    attributes[name] = "7"
    with pytest.raises(StoreError, match="damaged: its attributes"):
        Chain.load(tmp_path / "run.zarr")
    attributes[name] = kept
    assert Chain.load(tmp_path / "run.zarr").thin == 1
    del attributes[name]
    with pytest.raises(StoreError, match="damaged: its attributes"):
        Chain.load(tmp_path / "run.zarr")


def test_what_cannot_be_stored_is_refused(tmp_path):
    chain = sample(TORUS, beta=0.4, n_draws=3, rng=2)
    series = np.zeros((4, 3))
    for name in ("..", ".", "__x", "a/b", "zarr.json", "", "a\n", "x" * 300):
        with pytest.raises(InvalidInput, match="cannot be called"):
            dataclasses.replace(chain, observables={name: series}).save(tmp_path / "run.zarr")
    with pytest.raises(InvalidInput, match="observables/o has dtype object"):
        dataclasses.replace(chain, observables={"o": series.astype(object)}).save(tmp_path / "run")
    with pytest.raises(StoreError, match="provenance is no JSON"):
        dataclasses.replace(chain, provenance={"model": TORUS}).save(tmp_path / "run.zarr")
    assert not os.listdir(tmp_path)


def test_foreign_and_missing_stores(tmp_path):
    import zarr

    with pytest.raises(StoreError, match="not a readable zarr store"):
        Chain.load(tmp_path / "nothing.zarr")
    zarr.open_group(tmp_path / "foreign.zarr", mode="w").attrs["format"] = "something else"
    with pytest.raises(StoreError, match="no saved chain: its format is 'something else'"):
        Chain.load(tmp_path / "foreign.zarr")
    (tmp_path / "text.zarr").write_text("hello")
    with pytest.raises(StoreError):
        Chain.load(tmp_path / "text.zarr")


@pytest.mark.parametrize("damage", ["remove", "truncate", "flip"])
def test_every_file_of_a_store_is_missed_or_checked(tmp_path, damage):
    """Whatever file is damaged, the chain is either loaded as it was, or not at all."""
    chain = sample(TORUS, beta=0.4, n_draws=3, n_chains=2, rng=2)
    chain.save(tmp_path / "run.zarr")
    files = sorted(f for f in (tmp_path / "run.zarr").rglob("*") if f.is_file())
    refused = 0
    for file in files:
        content = file.read_bytes()
        if damage == "remove":
            file.unlink()
        elif damage == "truncate":
            file.write_bytes(content[: len(content) // 2])
        else:
            middle = len(content) // 2
            file.write_bytes(
                content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            )
        try:
            assert same(Chain.load(tmp_path / "run.zarr"), chain)
        except StoreError:
            refused += 1
        file.write_bytes(content)
    assert refused >= len(files) // 2
    assert same(Chain.load(tmp_path / "run.zarr"), chain)


# --- bad input ------------------------------------------------------------------------------------


class WithGradient:
    """Refuses to become an array, as a torch tensor does that requires grad."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach()")


NOTHING = {"n_draws": 10**12, "rng": 1}  # so many draws that any work would not end

BAD = {
    "negative temperature": (RING, {"temperature": -1.0}, "temperatures are positive"),
    "zero temperature": (RING, {"temperature": 0.0}, "temperatures are positive"),
    "negative beta": (RING, {"beta": [0.1, -0.2]}, "temperatures are positive"),
    "infinite beta": (RING, {"beta": np.inf}, "temperatures are positive and finite"),
    "nan temperature": (RING, {"temperature": np.nan}, "temperatures are positive"),
    "tiny temperature": (RING, {"temperature": 1e-310}, "overflows"),
    "both": (RING, {"beta": 1.0, "temperature": 1.0}, "both was given"),
    "neither": (RING, {}, "neither was given"),
    "text": (RING, {"beta": "cold"}, "is not a number"),
    "no betas": (RING, {"beta": []}, "shape"),
    "beta table": (RING, {"beta": [[1.0]]}, "shape"),
    "betas and chains": (RING, {"beta": [0.1, 0.2], "n_chains": 3}, "2 entries for 3 chains"),
    "no chains": (RING, {"beta": 1.0, "n_chains": 0}, "n_chains=0"),
    "half a chain": (RING, {"beta": 1.0, "n_chains": 1.5}, "n_chains=1.5"),
    "no draws": (RING, {"beta": 1.0, "n_draws": 0}, "n_draws=0"),
    "true draws": (RING, {"beta": 1.0, "n_draws": True}, "n_draws=True"),
    "no thinning": (RING, {"beta": 1.0, "thin": 0}, "thin=0"),
    "negative burn-in": (RING, {"beta": 1.0, "burn_in": -1}, "burn_in=-1"),
    "device": (RING, {"beta": 1.0, "device": "tpu"}, "must be 'cpu' or 'cuda'"),
    "device of a sampler": (
        RING,
        {"beta": 1.0, "sampler": Wolff(), "device": "cuda"},
        "does not run on 'cuda', only on cpu",
    ),
    "a class": (RING, {"beta": 1.0, "sampler": Wolff}, r"is no sampler.*e\.g\. HeatBath\(\)"),
    "no seed": (RING, {"beta": 1.0, "rng": None}, "There is no default seed"),
    "float seed": (RING, {"beta": 1.0, "rng": 1.5}, "neither an int"),
    "negative seed": (RING, {"beta": 1.0, "rng": -1}, "negative"),
    "start": (RING, {"beta": 1.0, "start": "cold"}, "'random', 'ordered'"),
    "start shape": (RING, {"beta": 1.0, "start": np.ones((3, 6))}, r"\(4, 6\) is needed"),
    "start size": (RING, {"beta": 1.0, "start": np.ones(5)}, "6 sites"),
    "start values": (RING, {"beta": 1.0, "start": np.zeros(6)}, "values of Spins"),
    "built-in observable": (
        RING,
        {"beta": 1.0, "observables": {"m": "magnetisation"}},
        "'magnetisation' is unknown. Built in: magnetization",
    ),
    "observable number": (RING, {"beta": 1.0, "observables": {"m": 3}}, "give a function"),
    "observable energy": (RING, {"beta": 1.0, "observables": {"energy": len}}, "is taken"),
    "beta with a gradient": (RING, {"beta": WithGradient()}, r"not a number.*detach\(\)"),
    "complex beta": (RING, {"beta": 1j}, "is not a number.*complex"),
    "ragged beta": (RING, {"beta": [[1.0], [1.0, 2.0]]}, "is not a number"),
    "observable list": (RING, {"beta": 1.0, "observables": ["magnetization"]}, "is no dict"),
    "observable magnetization": (
        RING,
        {"beta": 1.0, "observables": {"magnetization": lambda x: x[:, 0]}},
        "name 'magnetization' is taken",
    ),
    "observable specific heat": (
        RBM,
        {
            "beta": 1.0,
            "sampler": BlockGibbs(),
            "observables": {"specific_heat": lambda x: x[:, 0]},
        },
        "name 'specific_heat' is taken",
    ),
    "observable under another's name": (
        RING,
        {"beta": 1.0, "observables": {"magnetization": "abs_magnetization"}},
        "name 'magnetization' is taken",
    ),
    "observable dots": (RING, {"beta": 1.0, "observables": {"..": len}}, "cannot be called"),
    "ragged observable": (
        RING,
        {"beta": 1.0, "n_draws": 10, "observables": {"o": lambda x: [[1], [1, 2], [1], [1]]}},
        "'o' returned no array of numbers at the start",
    ),
    "dates": (
        RING,
        {
            "beta": 1.0,
            "n_draws": 10,
            "observables": {"o": lambda x: np.zeros(len(x), "datetime64[s]")},
        },
        "'o' returned no array of numbers at the start: dtype datetime64",
    ),
    "objects": (
        RING,
        {"beta": 1.0, "n_draws": 10, "observables": {"o": lambda x: np.array([None] * len(x))}},
        "dtype object",
    ),
    "observable with a gradient": (
        RING,
        {"beta": 1.0, "n_draws": 10, "observables": {"o": lambda x: WithGradient()}},
        "no array of numbers.*detach",
    ),
    "observable slash": (RING, {"beta": 1.0, "observables": {"a/b": len}}, "without a slash"),
    "observable shape": (
        RING,
        {"beta": 1.0, "observables": {"m": lambda x: x.sum()}, "n_draws": 10},
        "one entry per chain",
    ),
    "wolff on a frustrated ring": (
        Ising(lattices.chain(5), -1.0),
        {"beta": 1.0, "sampler": Wolff()},
        "5 of 5 are negative",
    ),
    "wolff in a field": (
        Ising(lattices.chain(5), field=0.1),
        {"beta": 1.0, "sampler": Wolff()},
        "largest |h| = 0.1",
    ),
    "checkerboard metropolis on a ring": (
        RING,
        {"beta": 1.0, "sampler": Metropolis("checkerboard")},
        "not ergodic on a ring",
    ),
    "checkerboard metropolis on a ring by another name": (
        Ising(lattices.square(1, 6, ("open", "periodic"))),
        {"beta": 1.0, "sampler": Metropolis("checkerboard")},
        "not ergodic on a ring",
    ),
    "checkerboard metropolis on a small torus": (
        TORUS,
        {"beta": 1.0, "sampler": Metropolis("checkerboard")},
        "even numbers of bonds",
    ),
    "checkerboard metropolis at beta = 0": (
        Ising(lattices.square(8)),
        {"beta": [1.0, 0.0], "sampler": Metropolis("checkerboard"), "n_draws": 10},
        "accepts every move at beta = 0",
    ),
    "checkerboard metropolis without a lattice": (
        RBM.joint(),
        {"beta": 1.0, "sampler": Metropolis("checkerboard")},
        "needs a lattice",
    ),
    "steps of another run": (
        WELL,
        {"beta": 1.0, "sampler": MALA((0.1, 0.2, 0.3)), "n_draws": 10},
        "3 entries for 4 chains",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_before_any_work(name):
    model, arguments, message = BAD[name]
    with pytest.raises(InvalidInput, match=message):
        sample(model, **(NOTHING | arguments))


@pytest.mark.parametrize(
    ("model", "sampler"),
    [(RBM, HeatBath()), (TORUS, BlockGibbs()), (WELL, Wolff()), (TORUS, MALA())],
    ids=str,
)
def test_samplers_name_the_capability_that_is_missing(model, sampler):
    with pytest.raises(MissingCapability, match=f"{type(sampler).__name__} needs the capability"):
        sample(model, sampler, beta=1.0, **NOTHING)


@pytest.mark.parametrize("step", [0.0, -1.0, np.nan, np.inf, (), (0.1, -0.1), [[0.1]]])
def test_steps_that_cannot_work(step):
    with pytest.raises(InvalidInput, match="step_size"):
        MALA(step)


def test_an_unknown_order_of_metropolis():
    with pytest.raises(InvalidInput, match="'random' or 'checkerboard'"):
        Metropolis("sequential")


def test_a_final_state_carries_its_stream():
    final = sample(RING, beta=1.0, n_draws=2, rng=1).final
    with pytest.raises(InvalidInput, match=r"rng= together with start=chain\.final"):
        sample(RING, beta=1.0, start=final, **NOTHING)
    with pytest.raises(InvalidInput, match="n_chains=3, but start= holds 4 chains"):
        sample(RING, beta=1.0, start=final, n_chains=3, n_draws=2)
    with pytest.raises(InvalidInput, match="8 sites"):
        sample(Ising(lattices.chain(8)), beta=1.0, start=final, n_draws=2)
    with pytest.raises(InvalidInput, match="leave the stream"):
        sample(RING, beta=1.0, start=final._replace(sweep=2**40 - 5), n_draws=10)
    assert isinstance(final, State)


def test_progress_is_shown_on_demand_and_silent_in_a_pipe(capsys):
    quiet = sample(RING, beta=1.0, n_draws=5, rng=1)
    assert capsys.readouterr() == ("", "")
    assert np.array_equal(
        sample(RING, beta=1.0, n_draws=5, rng=1, progress=True).states, quiet.states
    )


def test_clamped_chains_are_not_compared():
    """Chains with different clamped values have different laws; that is no lack of equilibrium."""
    rbm = BernoulliRBM([0.0, 0.0, 0.0], [0.5, 0.0], [[8.0, -1.0], [0.5, 0.2], [-0.3, 0.8]])
    start = np.array([[0, 0, 0], [1, 0, 0]])
    sampler = BlockGibbs(clamped=np.array([True, False, False]))
    chain = sample(rbm, sampler, beta=1.0, n_chains=2, n_draws=400, start=start, rng=1)
    assert (chain.states[..., 0] == [[0], [1]]).all()
    with pytest.warns(EquilibrationWarning, match="disagree"):
        equilibration.warn_unless_equilibrated(dataclasses.replace(chain, sampler=BlockGibbs()))
