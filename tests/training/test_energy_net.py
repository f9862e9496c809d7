"""Deep energies: shapes, gradients, freezing; samplers and estimators on them; what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from statmech_ml import sample
from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.exact import plane
from statmech_ml.models import Gaussian
from statmech_ml.partition import Geometric, ais
from statmech_ml.samplers import BAOAB, HMC, MALA, PSGLD, SGHMC, ULA, HeatBath
from statmech_ml.training import EnergyNet, NeuralEnergy

POINTS = np.random.default_rng(0).normal(size=(4, 3, 2))


def small(dtype=torch.float64, seed=3, confinement=1.4):
    """An asymmetric energy of two coordinates, steep enough to differ from its confinement."""
    net = EnergyNet.dense(2, (16, 16), rng=seed, dtype=dtype, confinement=confinement)
    with torch.no_grad():
        net.module[-1].weight *= 12.0
    return net


BOX = ((-12.0, 12.0), (-12.0, 12.0))


def mean(model, beta, f):
    return plane.mean(lambda x: model.reduced_energy(x, beta), f, BOX, rtol=1e-6).value


# --- energies and gradients -----------------------------------------------------------------------


def test_energy_is_the_network_plus_its_confinement():
    net = small()
    model = net.freeze()
    with torch.no_grad():
        bare = net.module(torch.tensor(POINTS.reshape(-1, 2))).numpy().reshape(4, 3)
    expected = bare + (POINTS**2).sum(axis=-1) / (2 * 1.4**2)
    assert model.energy(POINTS) == pytest.approx(expected, rel=1e-14)
    assert model.energy(POINTS).dtype == np.float64
    assert model.energy(POINTS[0, 0]).shape == ()
    assert model.energy(POINTS[:0]).shape == (0, 3)
    beta = np.array([0.5, 2.0, 0.0])
    assert model.reduced_energy(POINTS, beta) == pytest.approx(beta * expected, rel=1e-14)


@pytest.mark.parametrize("build", ["dense", "convolutional", "flat output"])
def test_gradients_are_those_of_the_energy(build):
    if build == "dense":
        model = small().freeze()
    elif build == "convolutional":
        net = EnergyNet.convolutional((5, 4), (3, 4), "tanh", rng=1, dtype=torch.float64)
        model = net.freeze()
    else:
        module = nn.Sequential(nn.Linear(2, 8), nn.Softplus(), nn.Linear(8, 1), nn.Flatten(0))
        model = EnergyNet(module.double(), 2).freeze()
    size = model.space.size
    x = np.random.default_rng(1).normal(size=(6, size))
    beta = np.linspace(0.3, 2.0, 6)
    given = model.reduced_gradient(x, beta)
    step = 1e-5
    for i in range(size):
        up, down = x.copy(), x.copy()
        up[:, i] += step
        down[:, i] -= step
        change = model.reduced_energy(up, beta) - model.reduced_energy(down, beta)
        assert given[:, i] == pytest.approx(change / (2 * step), rel=1e-6, abs=1e-8)


def test_large_batches_are_cut_and_put_together():
    model = small(torch.float32).freeze()
    x = np.random.default_rng(2).normal(size=(20_001, 2))
    x.setflags(write=False)
    whole, gradient = model.energy(x), model.gradient(x)
    assert whole.shape == (20_001,)
    assert gradient.shape == x.shape
    for part in (slice(0, 5), slice(8190, 8195), slice(19_998, None)):
        assert whole[part] == pytest.approx(model.energy(x[part]), rel=1e-5)
        assert gradient[part] == pytest.approx(model.gradient(x[part]), rel=1e-4, abs=1e-5)


def test_doubles_on_request():
    single, double = small(torch.float32), small(torch.float64)
    assert single.dtype == torch.float32
    assert double.freeze().thaw().dtype == torch.float64
    assert double.freeze().thaw(torch.float32).dtype == torch.float32
    assert single.freeze().energy(POINTS) == pytest.approx(double.freeze().energy(POINTS), rel=1e-4)


def test_periodic_convolutions_do_not_see_where_the_origin_is():
    """Shifted by the product of all strides the energy of the last layer's mean stays the same."""
    net = EnergyNet.convolutional((8, 6), (4, 4), rng=4, periodic=True, dtype=torch.float64)
    with torch.no_grad():
        net.module[-1].weight[:] = 1.0
    picture = np.random.default_rng(3).normal(size=(8, 6))
    shifted = np.roll(picture, (2, -4), axis=(0, 1))
    open_net = EnergyNet.convolutional((8, 6), (4, 4), rng=4, dtype=torch.float64)
    with torch.no_grad():
        open_net.module[-1].weight[:] = 1.0
    for each, same in ((net, True), (open_net, False)):
        a, b = each.freeze().energy(np.stack([picture.ravel(), shifted.ravel()]))
        assert (abs(a - b) < 1e-12) == same


# --- freezing -------------------------------------------------------------------------------------


def test_frozen_copy_stays_when_training_goes_on():
    net = small()
    model = net.freeze()
    before = model.energy(POINTS)
    with torch.no_grad():
        for p in net.parameters():
            p += 1.0
    assert (model.energy(POINTS) == before).all()
    thawed = model.thaw()
    assert (thawed.freeze().energy(POINTS) == before).all()
    with torch.no_grad():
        for p in thawed.parameters():
            p += 1.0
    assert (model.energy(POINTS) == before).all()
    assert isinstance(model, NeuralEnergy)
    assert not hasattr(model, "arrays")
    assert model.capabilities == {"Differentiable"}


def test_layers_kept_from_training_stay_so():
    net = small()
    net.module[0].weight.requires_grad_(False)
    thawed = net.freeze().thaw()
    assert not thawed.module[0].weight.requires_grad
    assert thawed.module[2].weight.requires_grad
    assert "module.0.weight" not in thawed.phase(thawed.tensor(POINTS[0].copy()))


def test_initial_parameters_come_from_rng_and_leave_the_global_state_alone():
    state = torch.get_rng_state()
    one, same, other = (small(seed=s) for s in (5, 5, 6))
    assert (one.freeze().energy(POINTS) == same.freeze().energy(POINTS)).all()
    assert (one.freeze().energy(POINTS) != other.freeze().energy(POINTS)).any()
    assert torch.equal(torch.get_rng_state(), state)


# --- samplers and estimators ----------------------------------------------------------------------


def energies(sampler, beta, sampled_at=None):
    """z-scores of the mean energy and of both coordinates against quadrature at beta."""
    model = small().freeze()
    observables = (model.energy, lambda x: x[:, 0], lambda x: x[:, 1] ** 2)
    exact = [mean(model, beta, f) for f in observables]

    def run(seed, scale):
        n = 800 * scale
        chain = sample(
            model, sampler, beta=sampled_at or beta, n_chains=n, n_draws=1, burn_in=80, rng=seed,
            progress=False,
        )  # fmt: skip
        x = chain.states[:, 0]
        found = np.stack([chain.energy[:, 0], x[:, 0], x[:, 1] ** 2])
        return (found.mean(axis=1) - exact) / (found.std(axis=1, ddof=1) / np.sqrt(n))

    return run


def test_mala_samples_the_network(seed, assert_unbiased, assert_rejected):
    assert_unbiased(energies(MALA(step_size=0.5), beta=0.7), seed)
    assert_rejected(energies(MALA(step_size=0.5), beta=0.7, sampled_at=1.0), seed)
    assert_rejected(energies(ULA(step_size=1.5), beta=0.7), seed)


def test_hmc_samples_the_network(seed, assert_unbiased):
    """Through its twin in batches; <exp(-dH)> = 1 and its mutants are tests of HMC itself."""
    assert_unbiased(energies(HMC(step_size=0.4, n_steps=5, adapt=False), beta=0.7), seed)


@pytest.mark.parametrize(
    "sampler", [BAOAB(step_size=0.2), SGHMC(step_size=0.01), PSGLD(step_size=0.01)],
    ids=lambda s: type(s).__name__,
)  # fmt: skip
def test_the_langevin_family_runs_on_it(sampler):
    chain = sample(
        small().freeze(), sampler, beta=0.7, n_chains=3, n_draws=4, burn_in=5, rng=1, progress=False
    )
    assert np.isfinite(chain.energy).all()
    assert chain.energy[:, -1] == pytest.approx(small().freeze().energy(chain.final.x))


def test_annealing_gives_log_z_of_the_network(seed, assert_unbiased, assert_rejected):
    model = small().freeze()
    exact = plane.log_z(lambda x: model.reduced_energy(x, 0.7), BOX, rtol=1e-6).value
    reference = Gaussian(stddev=1.6, dim=2)

    def run(seed, scale, beta=0.7):
        path = Geometric(reference, model, beta=beta, sampler=MALA(0.2, adapt=False))
        found = ais(path, n_levels=40, n_chains=150 * scale, rng=seed, progress=False)
        return np.array([found.z(exact)])

    assert_unbiased(run, seed)
    assert_rejected(lambda seed, scale: run(seed, scale, beta=1.0), seed)


def test_path_adds_the_network_to_its_confinement():
    net = small()
    path, model = net.path(), net.freeze()
    x = POINTS.reshape(-1, 2)
    rest = (x**2).sum(axis=1) / (2 * 1.4**2)
    expected = 0.3 * (model.energy(x) - rest) + rest
    assert path.reduced_energy(x, 0.3) == pytest.approx(expected, rel=1e-12)
    assert path.log_z_reference == pytest.approx(np.log(2 * np.pi * 1.4**2))
    assert EnergyNet(nn.Linear(2, 1), 2).path() is None


def test_discrete_samplers_refuse_it():
    with pytest.raises(MissingCapability, match="Differentiable"):
        HeatBath().check(small().freeze())


@pytest.mark.gpu
def test_the_frozen_copy_stays_on_the_card():
    net = small(torch.float64)
    on_card = small(torch.float64).to("cuda").freeze()
    assert on_card.energy(POINTS) == pytest.approx(net.freeze().energy(POINTS), rel=1e-12)
    assert on_card.gradient(POINTS) == pytest.approx(net.freeze().gradient(POINTS), rel=1e-10)
    assert on_card.thaw().device.type == "cuda"


# --- refusals -------------------------------------------------------------------------------------


class Noisy(nn.Linear):
    def forward(self, x):
        return super().forward(x) + torch.rand((len(x), 1), dtype=x.dtype)


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (nn.Linear(2, 3), "one number per row"),
        (nn.Flatten(0), "need parameters|needs parameters"),
        (nn.Linear(4, 1), "failed on a batch of shape"),
        (nn.Sequential(nn.Linear(2, 1), nn.Flatten(0), nn.Unflatten(0, (1, -1))), "number per row"),
        (nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Linear(8, 1)), "failed|alone"),
        (nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 1).double()), "all of one floating type"),
        (np.sin, "no torch.nn.Module"),
    ],
)
def test_modules_that_are_no_energy_are_refused(module, says):
    with pytest.raises(InvalidInput, match=says):
        EnergyNet(module, 2)


def test_random_and_infinite_energies_are_refused():
    generator_state = torch.get_rng_state()
    noisy = Noisy(2, 1)
    with pytest.raises(InvalidInput, match="same row alone"):
        EnergyNet(noisy, 2)
    torch.set_rng_state(generator_state)
    broken = nn.Linear(2, 1)
    with torch.no_grad():
        broken.bias[:] = float("nan")
    with pytest.raises(InvalidInput, match="NaN"):
        EnergyNet(broken, 2)


@pytest.mark.parametrize("confinement", [0.0, -1.0, float("inf"), float("nan")])
def test_confinements_that_confine_nothing_are_refused(confinement):
    with pytest.raises(InvalidInput, match="confinement"):
        EnergyNet(nn.Linear(2, 1), 2, confinement)


@pytest.mark.parametrize(
    "build",
    [
        lambda: EnergyNet.dense(2, (8,), "relu", rng=0),
        lambda: EnergyNet.dense(2, (), rng=0),
        lambda: EnergyNet.dense(2, (8, 0), rng=0),
        lambda: EnergyNet.dense(0, rng=0),
        lambda: EnergyNet.dense(2, rng=None),
        lambda: EnergyNet.convolutional((8,), rng=0),
        lambda: EnergyNet.convolutional((4, 4), (2, 2, 2, 2), rng=0, periodic=True),
    ],
)
def test_networks_that_cannot_be_built_are_refused(build):
    with pytest.raises(InvalidInput):
        build()


@pytest.mark.parametrize("x", [np.zeros(3), np.full((2, 2), np.nan), [["a", "b"]]])
def test_configurations_off_the_space_are_refused(x):
    with pytest.raises(InvalidInput):
        small().freeze().energy(x)
    with pytest.raises(InvalidInput, match="coordinates"):
        small().free_energy(torch.zeros(5, 3, dtype=torch.float64))


def test_to_another_device():
    """A copy goes; "meta" stands for a card, which this machine need not have."""
    model = EnergyNet.dense(2, rng=1).freeze()
    assert model.to("cpu") is model
    away = model.to("meta")
    assert away.thaw().device.type == "meta"
    assert model.thaw().device.type == "cpu"
