"""Gradients of the log-likelihood against brute force over all (v, h), phase by phase.

The brute force knows the joint energies as the model files print them and nothing of the package:
discrete units are enumerated, real ones summed over a grid, where the trapezoidal rule is exact to
rounding for normal laws.
"""

import itertools

import numpy as np
import pytest
import torch

from statmech_ml.models import RBM, BernoulliRBM, BoltzmannMachine, GaussianRBM, PottsRBM
from statmech_ml.training import ExactGradient, Trainable, TrainableRBM
from statmech_ml.training import boltzmann as boltzmann_shell
from statmech_ml.training import rbm as rbm_shell

TOLERANCE = 1e-10
VALUES = {"bits": [0.0, 1.0], "spins": [-1.0, 1.0], "levels": [0.0, 1.0, 2.0]}
GRID = np.arange(-14.0, 14.0, 0.25)  # normal laws of width 0.8 and more, means within +-5


def machine(visible: str, hidden: str | None, pairs: bool = False):
    """A small asymmetric machine of these kinds of units, and the numbers it was made from."""
    g = np.random.default_rng(20417)
    n, m = (2, 2) if "normal" in (visible, hidden) else (4, 3)
    numbers = {
        "a": g.normal(0.1, 0.6, n),
        "b": g.normal(-0.2, 0.5, m),
        "W": g.normal(0, 0.7, (n, m)),
    }
    if pairs:
        numbers["J"] = np.triu(g.normal(0, 0.8, (n, n)), 1)
        layers = {} if hidden is None else {"hidden_bias": numbers["b"], "weights": numbers["W"]}
        kinds = {"visible": visible, "hidden": hidden or "bits"}
        return BoltzmannMachine(
            numbers["a"], numbers["J"] + numbers["J"].T, **layers, **kinds
        ), numbers
    if visible == "levels":
        numbers |= {"a": g.normal(0, 0.6, (n, 3)), "W": g.normal(0, 0.7, (n, 3, m))}
        return PottsRBM(numbers["a"], numbers["b"], numbers["W"], hidden), numbers
    if visible == "normal":
        numbers["s"] = np.array([0.8, 1.3])
        return GaussianRBM(numbers["a"], numbers["b"], numbers["W"], numbers["s"], hidden), numbers
    if (visible, hidden) == ("bits", "bits"):
        return BernoulliRBM(numbers["a"], numbers["b"], numbers["W"]), numbers
    return RBM(numbers["a"], numbers["b"], numbers["W"], visible, hidden), numbers


def layer(kind: str, size: int) -> np.ndarray:
    values = GRID if kind == "normal" else VALUES[kind]
    return np.array(list(itertools.product(values, repeat=size)))


def derivatives(v, h, visible, hidden, numbers) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """E(v, h) and its derivatives by each parameter, for v (A, n) and h (B, m): (A, B, ...)."""
    a, b, W = numbers["a"], numbers["b"], numbers["W"]
    v, h = v[:, None], h[None]
    shape = (v.shape[0], h.shape[1])

    def both(x):
        return np.broadcast_to(x, shape + x.shape[2:])

    if visible == "levels":
        f = np.eye(3)[v.astype(int)]  # (A, 1, n, 3)
        E = -(f * a).sum((-1, -2)) - np.einsum("xyik,ikj,zwj->xw", f, W, h)
        d = {"visible_bias": both(-f), "weights": -np.einsum("xyik,zwj->xwikj", f, h)}
    elif visible == "normal":
        s = numbers["s"]
        Wh = h @ W.T
        E = ((v - a) ** 2 / (2 * s**2)).sum(-1) - (v * Wh / s**2).sum(-1)
        d = {
            "visible_bias": both(-(v - a) / s**2),
            "weights": -np.einsum("xyi,zwj->xwij", v / s**2, h),
            "log_sigma": -((v - a) ** 2) / s**2 + 2 * v * Wh / s**2,
        }
    else:
        E = -(v * a).sum(-1) - np.einsum("xyi,ij,zwj->xw", v, W, h)
        d = {"visible_bias": both(-v), "weights": -np.einsum("xyi,zwj->xwij", v, h)}
    E = E - (h * b).sum(-1)
    d["hidden_bias"] = both(-h)
    if hidden == "normal":
        E = E + 0.5 * (h * h).sum(-1)
    if "J" in numbers:
        i, j = np.triu_indices(len(a), 1)
        products = v[..., i] * v[..., j]
        E = E - (products * numbers["J"][i, j]).sum(-1)
        d["couplings"] = both(-products)
    return E, d


def mean(weight: np.ndarray, d: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.tensordot(weight, x, axes=2) for name, x in d.items()}


def brute_force(visible, hidden, numbers, data):
    """Both phases: dE/dtheta averaged over h given the data, and over the model."""
    hidden_kind = hidden or "bits"
    n, m = len(numbers["a"]), len(numbers["b"])
    if hidden is None:  # a fully visible machine: one hidden state that does nothing
        h = np.zeros((1, m))
    else:
        h = layer(hidden_kind, m)
    E, d = derivatives(data.astype(float), h, visible, hidden_kind, numbers)
    given = np.exp(-E - np.logaddexp.reduce(-E, axis=1)[:, None]) / len(data)
    positive = mean(given, d)
    E, d = derivatives(layer(visible, n), h, visible, hidden_kind, numbers)
    weight = np.exp(-E + E.min())
    negative = mean(weight / weight.sum(), d)
    return positive, negative


KINDS = [
    *((v, h, False) for v in ("bits", "spins", "levels") for h in ("bits", "spins", "normal")),
    *(("normal", h, False) for h in ("bits", "spins")),
    *((v, h, True) for v in ("bits", "spins") for h in (None, "bits", "spins")),
]


def shell_of(model) -> Trainable:
    if isinstance(model, GaussianRBM):
        return TrainableRBM(model, torch.float64, learn_sigma=True)
    return model.thaw(torch.float64)


def deviations(visible, hidden, pairs) -> dict[str, float]:
    """Largest deviation of each phase, and of the gradient of `ExactGradient`, over parameters."""
    model, numbers = machine(visible, hidden, pairs)
    shell = shell_of(model)
    data = model.space.random(3, np.arange(9, dtype=np.uint32))
    data[0] = data[1]  # a configuration that comes twice counts twice
    positive, negative = brute_force(visible, hidden, numbers, data)
    batch = shell.tensor(data)
    gradient = ExactGradient().gradient(shell, batch, {}, 0, 0).gradients
    found = {}
    for name, p in shell.named_parameters():
        phase, exact = shell.phase(batch)[name], shell.exact_phase()[name]
        assert phase.shape == exact.shape == p.shape
        assert phase.dtype == torch.float64
        for what, ours, theirs in (
            ("positive", phase, positive[name]),
            ("negative", exact, negative[name]),
            ("gradient", gradient[name], positive[name] - negative[name]),
        ):
            found[f"{what} {name}"] = float(np.abs(ours.numpy() - theirs).max())
    return found


@pytest.mark.parametrize(("visible", "hidden", "pairs"), KINDS)
def test_gradient_equals_brute_force(visible, hidden, pairs):
    found = deviations(visible, hidden, pairs)
    assert max(found.values()) < TOLERANCE, found


@pytest.mark.parametrize(("visible", "hidden", "pairs"), KINDS)
def test_phase_equals_autograd(visible, hidden, pairs):
    """The closed forms are the derivatives of free_energy, also with weights; and so is mean F."""
    model, _ = machine(visible, hidden, pairs)
    shell = shell_of(model)
    x = model.space.random(5, np.arange(11, dtype=np.uint32))
    w = shell.tensor(np.linspace(1.0, 3.0, 11) / 22.0)
    for weights in (None, w):
        ours, energy = shell.phase_with_energy(shell.tensor(x), weights)
        theirs, mean_energy = Trainable.phase_with_energy(shell, shell.tensor(x), weights)
        assert set(ours) == set(theirs)
        for name in ours:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-13)
        assert float(energy) == pytest.approx(float(mean_energy), abs=1e-13)
    np.testing.assert_allclose(
        shell.free_energy(shell.tensor(x)).detach(), model.free_energy(x), rtol=1e-13, atol=1e-13
    )


@pytest.mark.parametrize(("visible", "hidden", "pairs"), KINDS)
@pytest.mark.parametrize("mutant", ["factor", "sign of hidden", "field lost"])
def test_mutants_are_rejected(visible, hidden, pairs, mutant, monkeypatch):
    """A lost factor, a wrong conditional mean, and a free energy without its field do not pass."""
    module = boltzmann_shell if pairs else rbm_shell
    if mutant == "factor":
        kind = boltzmann_shell.TrainableBoltzmann if pairs else TrainableRBM
        right = kind.phase_with_energy

        def wrong(self, x, weights=None):
            found, energy = right(self, x, weights)
            return found | {"visible_bias": 0.5 * found["visible_bias"]}, energy

        monkeypatch.setattr(kind, "phase_with_energy", wrong)
    elif hidden is None:
        pytest.skip("no hidden units")
    elif mutant == "sign of hidden":
        right_mean = rbm_shell.hidden_mean
        monkeypatch.setattr(module, "hidden_mean", lambda units, field: right_mean(units, -field))
    else:
        # Of spins as of bits, and of the others without the field.
        right_mean = rbm_shell.hidden_mean
        other = {"bits": "spins", "spins": "bits", "normal": "bits"}
        monkeypatch.setattr(
            module, "hidden_mean", lambda units, field: right_mean(other[units], field)
        )
    assert max(deviations(visible, hidden, pairs).values()) > 1e3 * TOLERANCE


def test_float32_is_float32():
    """The default shell is in single precision, and its phase agrees to that."""
    model, numbers = machine("bits", "bits")
    shell = model.thaw()
    data = model.space.random(3, np.arange(9, dtype=np.uint32))
    positive, _ = brute_force("bits", "bits", numbers, data)
    phase = shell.phase(shell.tensor(data))
    assert all(p.dtype == torch.float32 for p in shell.parameters())
    for name, value in phase.items():
        np.testing.assert_allclose(value, positive[name], atol=1e-6)


@pytest.mark.parametrize("units", ["bits", "spins", "normal"])
def test_log_sums_are_stable(units):
    """Fields of +-1000 overflow nothing and cancel nothing; the second derivative is right at 0."""
    field = torch.tensor([-1000.0, -40.0, -1.0, 0.0, 1.0, 40.0, 1000.0], dtype=torch.float64)
    model = {"bits": RBM, "spins": RBM, "normal": RBM}[units]([0.0], [0.0], [[0.0]], "bits", units)
    expected = model.hidden_units.log_sum(field.numpy(), 1.0)
    np.testing.assert_allclose(rbm_shell.log_sum(units, field), expected, rtol=1e-15, atol=1e-17)
    zero = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(rbm_shell.log_sum(units, zero), zero, create_graph=True)
    (curvature,) = torch.autograd.grad(slope, zero)
    assert float(curvature) == {"bits": 0.25, "spins": 1.0, "normal": 1.0}[units]


@pytest.mark.parametrize(("visible", "hidden", "pairs"), KINDS)
def test_freeze_and_thaw_are_inverse(visible, hidden, pairs):
    model, _ = machine(visible, hidden, pairs)
    for dtype in (torch.float32, torch.float64):
        shell = model.thaw(dtype)
        again = shell.freeze().thaw(dtype)
        assert type(shell.freeze()) is type(model)
        for name, value in shell.state_dict().items():
            np.testing.assert_allclose(again.state_dict()[name], value, rtol=1e-6, atol=0)
            if name != "log_sigma":  # the logarithm of an exponential
                assert torch.equal(again.state_dict()[name], value)
