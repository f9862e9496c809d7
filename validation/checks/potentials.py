"""Potentials and posteriors with exact answers, minibatches of data, and ensembles of walkers."""

from functools import partial
from typing import Any

import numpy as np
from scipy import stats

from statmech_ml import sample
from statmech_ml.exact import plane
from statmech_ml.models import (
    BayesianLinearRegression,
    BayesianLogisticRegression,
    Funnel,
    Gaussian,
    RingOfWells,
    Rosenbrock,
)
from statmech_ml.samplers import MALA, EnsembleSampler
from statmech_ml.statistics import mean
from validation.check import (
    Check,
    Measurement,
    Mutant,
    against,
    calibration,
    derive_seed,
    identity,
)
from validation.frequencies import frequencies

_CLOSE = 1e-8


def _data(n: int = 24) -> tuple[np.ndarray, np.ndarray]:
    g = np.random.default_rng(90125)
    X = g.normal(size=(n, 2)) + 0.4
    return X, X @ [0.8, -0.5] + 0.6 * g.normal(size=n)


# --- log Z ----------------------------------------------------------------------------------------


def _log_z(
    seed: int, scale: int, *, forget_beta: bool = False, slip: float = 1.0
) -> list[Measurement]:
    found = []
    boxes = (
        (Rosenbrock(1.2, 1.5, 0.4), Rosenbrock(1.2, 1.5 * slip, 0.4), ((-6, 7), (-6, 30))),
        (Funnel(2, 0.5), Funnel(2, 0.5 * slip), ((-5, 5), (-40, 40))),
    )
    for model, other, box in boxes:
        for beta in (0.8, 1.0):

            def u(x: Any, model: Any = model, beta: float = beta) -> Any:
                return model.reduced_energy(x, beta)

            value = other.log_z(1.0 if forget_beta else beta)
            exact = plane.log_z(u, box, rtol=1e-9).value
            found.append(identity(f"log Z, {model}, beta = {beta}", value, exact, _CLOSE))
    X, y = _data()
    line = BayesianLinearRegression(X, y, 0.6, 1.3 * slip)
    marginal = stats.multivariate_normal(cov=0.36 * np.eye(len(y)) + 1.69 * X @ X.T)
    found.append(identity("log evidence", line.log_z(), marginal.logpdf(y), 1e-10))
    return found


# --- means by MALA --------------------------------------------------------------------------------


def _means(
    seed: int, scale: int, *, tilt: float = 0.4, hotter: float = 1.0, prior: float = 1.5
) -> list[Measurement]:
    X, y = _data()
    targets = (
        (
            RingOfWells(3, 1.2, 1.5, 1.1, 0.4),
            RingOfWells(3, 1.2, 1.5, 1.1, tilt),
            ((-5, 5), (-5, 5)),
        ),
        (
            BayesianLogisticRegression(X, y > 0.0, 1.5),
            BayesianLogisticRegression(X, y > 0.0, prior),
            ((-10, 12), (-12, 10)),
        ),
    )
    found = []
    for model, other, box in targets:

        def u(x: Any, model: Any = model) -> Any:
            return model.reduced_energy(x, 0.8)

        chain = sample(
            other, MALA(step_size=0.1), beta=0.8 / hotter, n_chains=600 * scale, n_draws=1,
            burn_in=80, thin=120, start="ordered", rng=derive_seed(seed, repr(model)),
            progress=False,
        )  # fmt: skip
        functions = {"<x>": lambda x: x[:, 0], "<y>": lambda x: x[:, 1], "<E>": model.energy}
        for name, f in functions.items():
            exact = plane.mean(u, f, box, rtol=1e-8).value
            estimate = mean(np.asarray(f(chain.final.x))[:, None])
            found.append(against(f"{name}, {model!r}", estimate, exact))
    return found


# --- minibatches ----------------------------------------------------------------------------------


def _minibatches(
    seed: int, scale: int, *, factor: float = 1.0, replace: bool = True
) -> list[Measurement]:
    """Over every ordered pair of rows: the mean is the gradient, the covariance the noise."""
    X, y = _data()
    theta = np.array([0.3, -0.8])
    rows = np.stack([k.ravel() for k in np.indices((len(y),) * 2)], axis=1)
    found = []
    for model in (
        BayesianLinearRegression(X, y, 0.6, 1.3),
        BayesianLogisticRegression(X, y > 0.0, 1.5),
    ):
        each = model.minibatch_gradient(np.tile(theta, (len(rows), 1)), 0.7, rows)
        full = model.reduced_gradient(theta, 0.7)
        noise = model.gradient_noise(theta, 2, beta=0.7, replace=replace)
        covariance = np.cov(each.T, bias=True)
        for k in range(2):
            name = f"{k}, {model!r}"
            found.append(identity(f"gradient {name}", factor * each[:, k].mean(), full[k], 1e-10))
            exact = covariance[k, k]
            found.append(identity(f"noise {name}", noise[k, k], exact, 1e-10 * exact))
    return found


# --- ensembles ------------------------------------------------------------------------------------


def _unbalanced() -> Any:
    """emcee's stretch move without its factor z^(d - 1)."""
    import emcee

    class Unbalanced(emcee.moves.StretchMove):
        def get_proposal(self, s: Any, c: Any, random: Any) -> Any:
            q, factors = super().get_proposal(s, c, random)
            return q, 0.0 * factors

    return Unbalanced()


def _ensemble(
    seed: int, scale: int, *, unbalanced: bool = False, beta: float = 1.0
) -> list[Measurement]:
    """Small ensembles from exact draws of five normals, 15 sweeps later: 2E is chi-square."""
    model, sampler = Gaussian(dim=5), EnsembleSampler(_unbalanced() if unbalanced else None)
    x = []
    for k in range(30 * scale):
        start = model.draws(seed, np.arange(10 * k, 10 * k + 10, dtype=np.uint32))
        state = sampler.init(model, 10, derive_seed(seed, f"{k}"), start)
        x.append(sampler.advance(model, state, np.full(10, beta), 15)[0].x)
    cells = (12 * stats.chi2.cdf(2.0 * model.energy(np.concatenate(x)), 5)).astype(int)
    return [frequencies(f"energies of walkers, {model!r}", cells, np.full(12, 1 / 12))]


def _errors(seed: int, scale: int, *, independent: bool = False) -> list[Measurement]:
    """z of <E> over runs of ten walkers on five normals, E = 5/2 at beta = 1."""
    model, z = Gaussian(dim=5), []
    for k in range(40 * scale):
        stream = derive_seed(seed, f"{k}")
        start = model.draws(stream, np.arange(10, dtype=np.uint32))
        chain = sample(
            model, EnsembleSampler(), beta=1.0, n_draws=600, n_chains=10, burn_in=0, start=start,
            rng=stream, keep_states=False, progress=False,
        )  # fmt: skip
        estimate = chain.estimate("energy", on_short="accept")
        error = (2.5 / chain.energy.size) ** 0.5 if independent else estimate.stderr
        z.append((estimate.value - 2.5) / error)
    return calibration("<E> of an ensemble", z)


CHECKS = (
    Check(
        "potentials.log-z",
        "Closed forms of log Z and of the evidence of linear regression meet quadrature and the "
        "marginal law of the data (Bishop 2006, eq. 2.115).",
        _log_z,
        (
            Mutant("beta forgotten", partial(_log_z, forget_beta=True)),
            Mutant("a width 1% off", partial(_log_z, slip=1.01)),
        ),
    ),
    Check(
        "potentials.means",
        "MALA on wells in a ring and on logistic regression gives the means of quadrature.",
        _means,
        (
            Mutant("wrong sign of the tilt", partial(_means, tilt=-0.4)),
            Mutant("beta 1.5 times too small", partial(_means, hotter=1.5)),
            Mutant("a prior twice as wide", partial(_means, prior=3.0)),
        ),
    ),
    Check(
        "potentials.minibatches",
        "The gradient of a minibatch is unbiased, with covariance n^2/b C for rows drawn with "
        "replacement: all pairs of rows (Welling, Teh 2011, eq. 4).",
        _minibatches,
        (
            Mutant("n / b lost", partial(_minibatches, factor=1.0 / 12.0)),
            Mutant("noise without replacement", partial(_minibatches, replace=False)),
        ),
    ),
    Check(
        "potentials.ensemble",
        "emcee's stretch move keeps the exact law of small ensembles (Goodman, Weare 2010, eq. 7).",
        _ensemble,
        (
            Mutant("z^(d-1) lost", partial(_ensemble, unbalanced=True)),
            Mutant("beta 0.6 for 1", partial(_ensemble, beta=0.6)),
        ),
    ),
    Check(
        "potentials.ensemble-errors",
        "Errors from the series of ensemble means are honest: z of <E> has mean 0 and standard "
        "deviation 1.",
        _errors,
        (Mutant("draws taken for independent", partial(_errors, independent=True)),),
        tier="full",
    ),
)
