"""Training: both phases of the gradient against enumeration, what CD-k and PCD-k are at fixed
parameters, and where training ends.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from itertools import product
from typing import Any

import numpy as np
import torch
from scipy.stats import chi2

from statmech_ml.exact import enumeration
from statmech_ml.models import RBM, BernoulliRBM, BoltzmannMachine, GaussianRBM, PottsRBM
from statmech_ml.training import (
    CD,
    ExactGradient,
    PersistentCD,
    RBMEstimator,
    TemperedPCD,
    Trainable,
    TrainableRBM,
    pseudo_log_likelihood,
    train,
)
from statmech_ml.training.method import Method
from validation.check import Check, Measurement, Mutant, by_p_value, identity

Numbers = dict[str, np.ndarray]

# --- both phases ----------------------------------------------------------------------------------


def _machines() -> dict[str, tuple[Callable[[Numbers], Any], Numbers]]:
    """Machines by name: made from their parameters, and the parameters."""
    g = np.random.default_rng(50716)
    layers = {
        "visible_bias": g.normal(0.1, 0.6, 4),
        "hidden_bias": g.normal(-0.2, 0.5, 3),
        "weights": g.normal(0, 0.7, (4, 3)),
    }
    levels = layers | {"visible_bias": g.normal(size=(4, 3)), "weights": g.normal(size=(4, 3, 3))}
    pairs = {"visible_bias": layers["visible_bias"], "couplings": g.normal(0, 0.8, 6)}

    def rbm(visible: str, hidden: str) -> Callable[[Numbers], Any]:
        return lambda p: RBM(**p, visible=visible, hidden=hidden)

    def boltzmann(visible: str) -> Callable[[Numbers], Any]:
        def made(p: Numbers) -> BoltzmannMachine:
            J = np.zeros((4, 4))
            J[np.triu_indices(4, 1)] = p["couplings"]
            hidden = p.get("hidden_bias"), p.get("weights")
            return BoltzmannMachine(p["visible_bias"], J + J.T, *hidden, visible=visible)

        return made

    return {
        "bits": (lambda p: BernoulliRBM(**p), layers),
        "spins": (rbm("spins", "spins"), layers),
        "spins and bits": (rbm("spins", "bits"), layers),
        "Potts": (lambda p: PottsRBM(**p), levels),
        "Boltzmann machine": (boltzmann("spins"), pairs),
        "Boltzmann machine with hidden units": (boltzmann("bits"), layers | pairs),
    }


def _joint(model: Any, v: np.ndarray) -> np.ndarray:
    """E(v, h) of all states of the hidden units, (n, hidden state)."""
    if not model.n_hidden:
        return np.asarray(model.energy(v))[:, None]
    h = model.hidden_units.space(model.n_hidden)
    return np.asarray(model.joint_energy(v[:, None], h.from_index(np.arange(h.n_states))[None]))


def _phases(
    seed: int, scale: int, *, lost_factor: bool = False, joint_data: bool = False
) -> list[Measurement]:
    """E is linear in every parameter, so its derivative is E with that parameter raised by 1."""
    found = []
    for name, (make, numbers) in _machines().items():
        model = make(numbers)
        shell: Any = model.thaw(torch.float64)
        space = model.space
        data = space.random(seed, np.arange(9, dtype=np.uint32))
        states = space.from_index(np.arange(space.n_states))
        given = -_joint(model, data)
        given = np.exp(given - np.logaddexp.reduce(given, axis=1)[:, None]) / len(data)
        law = np.exp(-_joint(model, states))
        law /= law.sum()
        positive, negative = shell.phase(shell.tensor(data)), shell.exact_phase()
        worst = {"data phase": 0.0, "model phase": 0.0}
        for key, values in numbers.items():
            for at in np.ndindex(values.shape):
                raised = numbers | {key: values.copy()}
                raised[key][at] += 1.0
                other = make(raised)
                slopes = [_joint(other, x) - _joint(model, x) for x in (data, states)]
                factor = 0.5 if lost_factor and key == "visible_bias" else 1.0
                ours = positive if joint_data else negative
                for phase, value, weight, slope in (
                    ("data phase", positive, given, slopes[0]),
                    ("model phase", ours, law, slopes[1]),
                ):
                    exact = float((weight * slope).sum())
                    off = abs(factor * float(value[key][at]) - exact)
                    worst[phase] = max(worst[phase], off)
        for phase, off in worst.items():
            found.append(identity(f"{phase}, {name}, largest error", off, 0.0, 1e-10))
    return found


def _units(
    sigma: np.ndarray, hidden: str, a: np.ndarray, b: np.ndarray, W: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """States (h,) of the hidden units of a Gaussian RBM with their probabilities."""
    values = (0.0, 1.0) if hidden == "bits" else (-1.0, 1.0)
    h = np.array(list(product(values, repeat=len(b))))
    log_p = h @ b + (((a + h @ W.T) ** 2 - a**2) / (2.0 * sigma**2)).sum(axis=1)
    p = np.exp(log_p - log_p.max())
    return h, p / p.sum()


def _normal_phases(
    seed: int, scale: int, *, fixed_width: bool = False, of_data: bool = False
) -> list[Measurement]:
    """Normal units above: h at its mean, in which E is linear. Normal units below: a sum over h,
    with <v> = a + W h and <(v - a)^2> = (W h)^2 + sigma^2."""
    g, found = np.random.default_rng(50717), []
    a, b, W = g.normal(0, 0.5, 4), g.normal(0, 0.5, 3), g.normal(0, 0.6, (4, 3))
    spins = RBM(a, b, 0.5 * W, "spins", "normal")
    states = spins.space.from_index(np.arange(16))
    law = np.exp(-spins.free_energy(states))
    data = states[[1, 4, 4, 11, 14]]
    v, p, f = states.astype(float), law / law.sum(), b + states @ (0.5 * W)
    share = np.bincount([1, 4, 4, 11, 14], minlength=16) / 5.0
    cases: list[tuple[str, Any, np.ndarray, list[Numbers]]] = [
        (
            "normal units above spins", spins, data,
            [
                {
                    "visible_bias": -weight @ v, "hidden_bias": -weight @ f,
                    "weights": -(v.T * weight) @ f,
                }
                for weight in (share, p)
            ],
        )
    ]  # fmt: skip
    sigma = np.array([0.7, 1.2, 0.9, 1.1])
    for hidden in ("bits", "spins"):
        h, p = _units(sigma, hidden, a, b, W)
        x, precision = g.normal(0.2, 1.0, (5, 4)), sigma**-2.0
        # of each datum: the hidden units at their means
        field = b + (x * precision) @ W
        mean = 1.0 / (1.0 + np.exp(-field)) if hidden == "bits" else np.tanh(field)
        centre = a + h @ W.T
        square = p @ ((centre - a) ** 2 + (0.0 if fixed_width else sigma**2))
        means = [
            (x.mean(axis=0), mean.mean(axis=0), x.T @ mean / 5, ((x - a) ** 2).mean(axis=0)),
            (p @ centre, p @ h, (centre.T * p) @ h, square),
        ]
        cases.append(
            (
                f"{hidden} above normal units", GaussianRBM(a, b, W, sigma, hidden), x,
                [
                    {
                        "visible_bias": -precision * (first - a), "hidden_bias": -above,
                        "weights": -precision[:, None] * both,
                        "log_sigma": precision * (2.0 * (both * W).sum(axis=1) - away),
                    }
                    for first, above, both, away in means
                ],
            )
        )  # fmt: skip
    for name, model, x, expected in cases:
        shell = TrainableRBM(model, torch.float64, learn_sigma=isinstance(model, GaussianRBM))
        positive = shell.phase(shell.tensor(x))
        negative = positive if of_data else shell.exact_phase()
        for phase, ours, exact in zip(
            ("data phase", "model phase"), (positive, negative), expected, strict=True
        ):
            off = max(float(np.abs(ours[key].numpy() - exact[key]).max()) for key in ours)
            found.append(identity(f"{phase}, {name}, largest error", off, 0.0, 1e-10))
    return found


# --- pseudo-likelihood ----------------------------------------------------------------------------


def _pseudo_likelihood(
    seed: int, scale: int, *, lose_unit: bool = False, joint: bool = False
) -> list[Measurement]:
    """sum_i log p(v_i | v_-i) of all states, from the table of log p(v) with an axis a unit."""
    found = []
    for name, (make, numbers) in _machines().items():
        model = make(numbers)
        space = model.space
        states = space.from_index(np.arange(space.n_states))
        table = np.logaddexp.reduce(-_joint(model, states), axis=1)
        table = table.reshape((space.n_values,) * space.size)
        given = np.zeros_like(table)
        for axis in range(table.ndim - lose_unit):
            given += table - np.logaddexp.reduce(table, axis=axis, keepdims=True)
        if joint:
            given = table - np.logaddexp.reduce(table.ravel())
        shell = model.thaw(torch.float64)
        value = pseudo_log_likelihood(shell, shell.tensor(states)).numpy()
        off = np.abs(value - given.ravel()).max()
        found.append(identity(f"{name}, largest error", off, 0.0, 1e-10, n=len(states)))
        if name == "bits":
            face = RBMEstimator(n_components=3, n_iter=0, random_state=0).fit(states.astype(float))
            face.components_ = numbers["weights"].T
            face.intercept_visible_ = numbers["visible_bias"]
            face.intercept_hidden_ = numbers["hidden_bias"]
            off = np.abs(face.score_samples(states) - given.ravel()).max()
            found.append(identity("score_samples of the estimator", off, 0.0, 1e-10, len(states)))
            log_p = (table - np.logaddexp.reduce(table.ravel())).ravel()
            off = np.abs(face.log_likelihood(states) - log_p).max()
            found.append(identity("log_likelihood of the estimator", off, 0.0, 1e-10, len(states)))
    return found


# --- what CD and PCD are at fixed parameters ------------------------------------------------------


def _truth() -> BernoulliRBM:
    """Six visible and four hidden units whose modes Gibbs sampling takes some sweeps to leave."""
    return _random_machine(2, 2.0)


def _random_machine(seed: int, width: float) -> BernoulliRBM:
    """6x4 units with normal weights of this width, and biases that keep all of them in doubt."""
    g = np.random.default_rng(seed)
    W = g.normal(0, width, (6, 4))
    a, b = -W.sum(1) / 2 + g.normal(0, 0.4, 6), -W.sum(0) / 2 + g.normal(0, 0.4, 4)
    return BernoulliRBM(a, b, W)


def _halved(model: BernoulliRBM) -> BernoulliRBM:
    return BernoulliRBM(model.visible_bias / 2, model.hidden_bias / 2, model.weights / 2)


def _flat(gradients: dict[str, torch.Tensor]) -> np.ndarray:
    names = ("visible_bias", "hidden_bias", "weights")
    return np.concatenate([gradients[name].numpy().ravel() for name in names])


def _derivatives(shell: Trainable, states: np.ndarray) -> np.ndarray:
    """dF/dtheta of each state, (state, parameter)."""
    return np.array([_flat(shell.phase(shell.tensor(v[None]))) for v in states])


def _drawn(model: BernoulliRBM, n: int, seed: int) -> np.ndarray:
    law = enumeration.distribution(model, 1.0)
    return model.space.from_index(np.random.default_rng(seed).choice(len(law), n, p=law))


def _pcd(seed: int, scale: int, *, k: int = 100, restart: bool = False) -> list[Measurement]:
    """The model phase of PCD after k sweeps from random states."""
    model, n = _halved(_truth()), 20_000 * scale
    shell = model.thaw(torch.float64)
    x = _drawn(_truth(), n, seed)
    method: Method = CD(1) if restart else PersistentCD(k, n)
    batch = shell.tensor(x)
    step = method.gradient(shell, batch, method.init(shell, x, seed), seed, 0)
    negative = _flat(shell.phase(batch)) - _flat(step.gradients)
    states = model.space.from_index(np.arange(model.space.n_states))
    law, d = enumeration.distribution(model, 1.0), _derivatives(shell, states)
    mean = law @ d
    error = np.sqrt((law @ d**2 - mean**2) / n)
    return [
        Measurement(f"model phase, parameter {i}", v, m, e, n, (v - m) / e)
        for i, (v, m, e) in enumerate(zip(negative, mean, error, strict=True))
    ]


def _cd_1(seed: int, scale: int, *, exact: bool = False, k: int = 1) -> list[Measurement]:
    """The part of the gradient that a CD-1 step at half the true parameters keeps, along it."""
    truth, n = _truth(), 20_000 * scale
    model = _halved(truth)
    shell = model.thaw(torch.float64)
    x = _drawn(truth, n, seed)
    batch = shell.tensor(x)
    gradient = _flat(ExactGradient().gradient(shell, batch, {}, 0, 0).gradients)
    step = _flat(CD(k).gradient(shell, batch, {}, seed, 0).gradients)
    states = model.space.from_index(np.arange(model.space.n_states))
    d = _derivatives(shell, states) @ gradient / (gradient @ gradient)
    E = _joint(model, states)
    T = np.exp(-E - np.logaddexp.reduce(-E, axis=1)[:, None])
    T = T @ np.exp(-E - np.logaddexp.reduce(-E, axis=0)[None]).T
    start = np.bincount(model.space.index(x), minlength=len(states)) / n
    kept = 1.0 if exact else float(start @ d - start @ T @ d)
    error = float(np.sqrt(start @ (T @ d**2 - (T @ d) ** 2) / n))
    value = float(step @ gradient / (gradient @ gradient))
    return [
        Measurement(
            "part of the gradient in a CD-1 step", value, kept, error, n, (value - kept) / error
        )
    ]


# --- where training ends --------------------------------------------------------------------------

_STEPS = 1500


def _log_likelihood(model: BernoulliRBM, x: np.ndarray) -> float:
    return float(-model.free_energy(x).mean()) - float(enumeration.log_z(model, 1.0))


def _end(method: Method, x: np.ndarray, seed: int, decay: float, steps: int) -> float:
    """Log-likelihood where training ends, from small weights."""
    g = np.random.default_rng(seed)
    shell = BernoulliRBM(np.zeros(6), np.zeros(4), g.normal(0, 0.1, (6, 4))).thaw(torch.float64)
    train(
        shell, x, method, epochs=steps, rng=seed, batch_size=len(x), weight_decay=decay,
        monitor=None, optimizer=lambda p: torch.optim.Adam(p, lr=0.05),
        schedule=lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, steps),
    )  # fmt: skip
    return _log_likelihood(shell.freeze(), x)


@lru_cache
def _best(seed: int, n: int) -> tuple[np.ndarray, float, float]:
    """Data of a known machine, its log-likelihood on them, and that of exact training."""
    known = _random_machine(64, 1.5)
    x = _drawn(known, n, seed)
    return x, _log_likelihood(known, x), _end(ExactGradient(), x, seed, 0.0, _STEPS)


def _maximum(
    seed: int, scale: int, *, decay: float = 0.0, steps: int = _STEPS
) -> list[Measurement]:
    """Twice the log-likelihood of all data that is lacking, against chi-square with as many degrees
    of freedom as parameters: what the true parameters lack by chance (Wilks)."""
    n, parameters = 2000 * scale, 6 + 4 + 24
    x, truth, exact = _best(seed, n)
    methods: dict[str, Method] = {
        "PCD": PersistentCD(1, 2000),
        "tempered PCD": TemperedPCD(1, 500, n_betas=4),
    }
    lacking = {"exact gradient, to the truth": truth - exact}
    for name, method in methods.items():
        lacking[f"{name}, to the exact gradient"] = exact - _end(method, x, seed, decay, steps)
    found = []
    for name, nats in lacking.items():
        value = 2 * n * nats
        p = float(chi2.sf(max(value, 0.0), parameters))
        found.append(
            by_p_value(f"2 n log-likelihood lacking: {name}", p, n, value, 0.0, parameters)
        )
    return found


CHECKS = (
    Check(
        "training.phases",
        "Data phase and model phase of the gradient are the means of dE/dtheta over h given the "
        "data and over all (v, h), of RBMs and Boltzmann machines, to 1e-10.",
        _phases,
        (
            Mutant("a factor 1/2 of the visible biases", partial(_phases, lost_factor=True)),
            Mutant("the data phase for the model phase", partial(_phases, joint_data=True)),
        ),
    ),
    Check(
        "training.normal-units",
        "So they are of RBMs with normal units above or below, the widths of these included.",
        _normal_phases,
        (
            Mutant("sigma^2 left out of <(v - a)^2>", partial(_normal_phases, fixed_width=True)),
            Mutant("the data phase for the model phase", partial(_normal_phases, of_data=True)),
        ),
    ),
    Check(
        "training.pseudo-likelihood",
        "sum_i log p(v_i | the rest) of every state, of RBMs, Boltzmann machines and the "
        "scikit-learn estimator, equals that of the table of all p(v) to 1e-10.",
        _pseudo_likelihood,
        (
            Mutant("one unit left out", partial(_pseudo_likelihood, lose_unit=True)),
            Mutant("log p(v) for the sum", partial(_pseudo_likelihood, joint=True)),
        ),
    ),
    Check(
        "training.persistent-chains",
        "The negative phase of PCD, at fixed parameters, is the mean of dF/dtheta over the model.",
        _pcd,
        (
            Mutant("chains that start anew at the data (CD-1)", partial(_pcd, restart=True)),
            Mutant("one sweep from random states", partial(_pcd, k=1)),
        ),
    ),
    Check(
        "training.bias-of-cd-1",
        "A CD-1 step is the data minus the data one Gibbs sweep later: of the gradient of the "
        "likelihood it keeps a part that is enumerated, and less than 1.",
        _cd_1,
        (
            Mutant("the whole gradient expected", partial(_cd_1, exact=True)),
            Mutant("CD-2", partial(_cd_1, k=2)),
        ),
    ),
    Check(
        "training.maximum-likelihood",
        "On data of a known 6x4 RBM the exact gradient reaches the likelihood of the true "
        "parameters, and PCD and tempered PCD end within sampling error of it (Wilks's law).",
        _maximum,
        (
            Mutant("weights that decay", partial(_maximum, decay=0.02)),
            Mutant("a thirtieth of the steps", partial(_maximum, steps=_STEPS // 30)),
        ),
        tier="full",
    ),
)
