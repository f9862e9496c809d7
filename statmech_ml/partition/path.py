"""A Path from a reference whose log Z is known (lambda = 0) to the target (lambda = 1).

Estimators see a path only: a reduced energy u_lambda(x), a sampler that leaves exp(-u_lambda)
invariant, log Z and exact draws at lambda = 0. Whatever serves these serves every estimator.

=========  ===============================================  =====================================
path       u_lambda(x)                                      reference, lambda = 0
=========  ===============================================  =====================================
Tempering  u of the model at lambda beta                    uniform over a finite space
Geometric  (1 - lambda) u_reference + lambda u_model(beta)  Gaussian, or any law drawn exactly
Weights    of an RBM with lambda W in place of W            independent units
=========  ===============================================  =====================================
"""

import math
from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
from scipy.special import expit

from .. import _rng
from ..errors import InvalidInput
from ..models import BernoulliRBM
from ..models.interpolated import Interpolated
from ..samplers import MALA, BlockGibbs, HeatBath, Sampler, State
from ..samplers.base import Info
from ..spaces import Discrete, Space
from ..systems import EnergyModel, Model


class Path(ABC):
    """Base class of all paths.

    Attributes
    ----------
    model : EnergyModel
        Its reduced energy at inverse temperature ``beta_at(lam)`` is u_lambda.
    sampler : Sampler
        Moves that leave exp(-u_lambda) invariant at each lambda.
    target : (model, beta)
        What log Z is asked of: the reduced energy of ``model`` at ``beta`` is u_1.
    """

    model: Any
    sampler: Sampler
    target: tuple[Any, float]

    @property
    @abstractmethod
    def log_z_reference(self) -> float:
        """log Z at lambda = 0, exact."""

    @abstractmethod
    def sample_reference(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Exact independent draws at lambda = 0, (chain, *event), one stream per chain."""

    def beta_at(self, lam: Any) -> Any:
        """The inverse temperature at which `model` is the ensemble of lambda: lambda itself."""
        return lam

    def reduced_energy(self, x: np.ndarray, lam: Any) -> np.ndarray:
        """u_lambda(x), float64, (*batch, *event) -> (*batch,); lambda broadcasts with the batch."""
        return np.asarray(self.model.reduced_energy(x, self.beta_at(lam)))

    def advance(
        self, state: State, lam: float, n_sweeps: int, sampler: Sampler | None = None
    ) -> tuple[State, Info]:
        """`n_sweeps` sweeps at lambda, by `sampler` (default: the path's own)."""
        betas = np.full(len(state.x), self.beta_at(lam), np.float64)
        return (sampler or self.sampler).advance(self.model, state, betas, n_sweeps)


class Tempering(Path):
    """From infinite temperature to beta: u_lambda is the model's reduced energy at lambda beta.

    At lambda = 0 all states are equally likely, so the space must be finite:
    log Z_0 = log(number of states) - u_0.

    Parameters
    ----------
    model : EnergyModel
        With a discrete space.
    beta : float
        Inverse temperature of the target, finite and >= 0.
    sampler : Sampler, default HeatBath()
        BlockGibbs() for RBMs, Wolff() or SwendsenWang() where clusters may move, ...

    Raises
    ------
    InvalidInput
        For unbounded spaces, beta that is negative or not finite, and models that are not uniform
        at beta = 0.
    MissingCapability
        When the sampler does not fit the model.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> round(Tempering(Ising(lattices.square(4, 4)), beta=0.44).log_z_reference, 6)  # 16 log 2
    11.090355
    """

    def __init__(self, model: EnergyModel, beta: float, sampler: Sampler | None = None) -> None:
        self.model: Any = model
        self.sampler = HeatBath() if sampler is None else sampler
        self.beta = _inverse_temperature(beta)
        self.target = (model, self.beta)
        space = model.space
        if not isinstance(space, Discrete):
            raise InvalidInput(
                f"Tempering starts at infinite temperature, where {space!r} has no uniform law: "
                "its volume is infinite, and so is Z. Use Geometric(reference, model) with a "
                "Gaussian reference."
            )
        self.sampler.check(model)
        probes = np.concatenate([space.ordered(1), space.random(0, np.arange(8, dtype=np.uint32))])
        u = np.asarray(model.reduced_energy(probes, 0.0))
        if not (np.isfinite(u).all() and np.ptp(u) <= 1e-9 * max(1.0, float(np.abs(u).max()))):
            raise InvalidInput(
                f"{model!r} is not uniform at beta = 0: its reduced energies there reach from "
                f"{u.min():g} to {u.max():g}. (A state that is forbidden at every temperature has "
                "energy +inf at beta = 0 too.) Tempering needs a model whose reduced energy at "
                "beta = 0 is constant."
            )
        self._log_z_reference = space.size * math.log(space.n_values) - float(u[0])

    @property
    def log_z_reference(self) -> float:
        """log of the number of states, less the constant reduced energy at beta = 0."""
        return self._log_z_reference

    def sample_reference(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Uniform draws (chain, size)."""
        return np.asarray(self.model.space.random(seed, chains))

    def beta_at(self, lam: Any) -> Any:
        """lambda beta."""
        return np.asarray(lam) * self.beta

    def __repr__(self) -> str:
        return f"Tempering({self.model!r}, beta={self.beta:g}, sampler={self.sampler!r})"


class Reference(Protocol):
    """What Geometric starts from: a compiled model with exact log Z and draws, like `Gaussian`."""

    space: Space
    arrays: Any

    def log_z(self, beta: float = 1.0) -> float:
        """log Z, exact."""
        ...

    def draws(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Exact draws at beta = 1, (chain, *event)."""
        ...


class Geometric(Path):
    """From a reference law to a model: u_lambda = (1 - lambda) u_reference + lambda u_model(beta).

    Parameters
    ----------
    reference : model with exact log Z and draws
        `Gaussian` on real spaces. It should cover the model: where the model is wider, log-weights
        spread.
    model : Model
        A compiled model on the same space.
    beta : float, default 1.0
        Inverse temperature of the target, finite and > 0.
    sampler : Sampler, default MALA()
        A step that adapts is tuned in a pilot run and then fixed at each lambda.

    Raises
    ------
    InvalidInput
        For a reference on another space or without exact draws, and a beta that is not positive.
    MissingCapability
        When the sampler does not fit the interpolated model, which is Differentiable where both
        ends are.

    >>> from statmech_ml.models import DoubleWell, Gaussian
    >>> path = Geometric(Gaussian(stddev=2.0), DoubleWell(tilt=0.5))
    >>> float(path.reduced_energy([0.0], lam=0.5))  # half the barrier of 2
    1.0
    """

    def __init__(
        self,
        reference: Reference,
        model: Model,
        beta: float = 1.0,
        sampler: Sampler | None = None,
    ) -> None:
        self.reference = reference
        self.sampler = MALA() if sampler is None else sampler
        self.beta = _inverse_temperature(beta)
        if self.beta == 0.0:
            raise InvalidInput(
                "beta=0 makes the target flat, and Z infinite where the space is unbounded. Use "
                "beta > 0."
            )
        self.target = (model, self.beta)
        if not (hasattr(reference, "log_z") and hasattr(reference, "draws")):
            raise InvalidInput(
                f"{reference!r} cannot be a reference: it has no exact log_z() and draws(). Use "
                "models.Gaussian, or give the class of your reference these two methods."
            )
        for name, end in (("reference", reference), ("model", model)):
            if not hasattr(end, "arrays"):
                raise InvalidInput(
                    f"The {name} {end!r} has no compiled arrays, which the interpolated energy is "
                    "built from. Write it as a NamedTuple: Model(space, MyEnergy(...))."
                )
        if reference.space != model.space:
            raise InvalidInput(
                f"The reference lives on {reference.space!r} but the model on {model.space!r}; "
                "both ends of a path need one space."
            )
        self.model = Interpolated(reference, model, self.beta)
        self.sampler.check(self.model)

    @property
    def log_z_reference(self) -> float:
        """log Z of the reference."""
        return float(self.reference.log_z())

    def sample_reference(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Draws of the reference (chain, size)."""
        return np.asarray(self.reference.draws(seed, chains))

    def __repr__(self) -> str:
        return (
            f"Geometric({self.reference!r}, {self.target[0]!r}, beta={self.beta:g}, "
            f"sampler={self.sampler!r})"
        )


class Weights(Path):
    """From independent units to an RBM with scaled weights, E_lambda = -a.v - b.h - lambda v.W.h.

    Parameters
    ----------
    rbm : BernoulliRBM
    sampler : Sampler, default BlockGibbs()
    beta : float, default 1.0
        Inverse temperature of the target, multiplying biases and weights, finite and >= 0.

    Raises
    ------
    InvalidInput
        When `rbm` is no RBM, or beta negative or not finite.
    MissingCapability
        When the sampler does not fit.

    R. Salakhutdinov and I. Murray, "On the quantitative analysis of deep belief networks", ICML
    (2008), doi:10.1145/1390156.1390266.

    >>> rbm = BernoulliRBM(visible_bias=[0.0, 0.0], hidden_bias=[0.0], weights=[[1.0], [-1.0]])
    >>> round(Weights(rbm).log_z_reference, 6)  # 3 log 2
    2.079442
    """

    def __init__(
        self, rbm: BernoulliRBM, sampler: Sampler | None = None, beta: float = 1.0
    ) -> None:
        if not isinstance(rbm, BernoulliRBM):
            raise InvalidInput(
                f"Weights scales the weights of an RBM, but {rbm!r} is none. Use Tempering for "
                "other models with discrete states, Geometric for continuous ones."
            )
        self.sampler = BlockGibbs() if sampler is None else sampler
        self.beta = _inverse_temperature(beta)
        self.target = (rbm, self.beta)
        self.model = _ScaledWeights(rbm, self.beta)
        self.sampler.check(self.model)

    @property
    def log_z_reference(self) -> float:
        """sum log(1 + e^a) + sum log(1 + e^b), biases times beta."""
        rbm = self.target[0]
        biases = self.beta * np.concatenate([rbm.visible_bias, rbm.hidden_bias])
        return float(np.logaddexp(0.0, biases).sum())

    def sample_reference(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Independent bits with the visible biases, int8 (chain, n_visible)."""
        bias = self.beta * self.target[0].visible_bias
        n = len(bias)
        words = _rng.words(seed, chains, 0, _rng.REFERENCE, 0, 2 * n).astype(np.float64)
        uniform = (words[:, :n] + words[:, n:] / 2**32) / 2**32
        return (uniform < expit(bias)).astype(np.int8)

    def __repr__(self) -> str:
        return f"Weights({self.target[0]!r}, beta={self.beta:g}, sampler={self.sampler!r})"


class _ScaledWeights:
    """The RBM with lambda W, as a model of its visible units; lambda takes the place of beta."""

    capabilities = frozenset({"Conditional"})
    lattice = None

    def __init__(self, rbm: BernoulliRBM, beta: float) -> None:
        self.space = rbm.space
        self.n_hidden = rbm.n_hidden
        self._a = beta * rbm.visible_bias
        self._b = beta * rbm.hidden_bias
        self._weights = beta * rbm.weights

    def energy(self, v: Any) -> np.ndarray:
        """The reduced energy of the target."""
        return self.reduced_energy(v, 1.0)

    def reduced_energy(self, v: Any, lam: Any) -> np.ndarray:
        """-a.v - sum_j log(1 + exp(b + lambda v.W)_j), float64 (*batch,)."""
        v = self.space.check(v, "v").astype(np.float64)
        logits = self.hidden_logits(v, np.asarray(lam, np.float64))
        return np.asarray(-(v @ self._a) - np.logaddexp(0.0, logits).sum(axis=-1))

    def hidden_logits(self, v: np.ndarray, lam: Any) -> np.ndarray:
        """b + lambda v.W, float64 (*batch, n_hidden)."""
        return self._b + np.asarray(lam)[..., None] * (v.astype(np.float64) @ self._weights)

    def visible_logits(self, h: np.ndarray, lam: Any) -> np.ndarray:
        """a + lambda W.h, float64 (*batch, n_visible)."""
        return self._a + np.asarray(lam)[..., None] * (h.astype(np.float64) @ self._weights.T)

    def __repr__(self) -> str:
        return f"BernoulliRBM with scaled weights ({len(self._a)} visible, {self.n_hidden} hidden)"


def _inverse_temperature(beta: Any) -> float:
    try:
        value = float(beta)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"beta={beta!r} is not one number; a path ends at one beta.") from error
    if not (math.isfinite(value) and value >= 0.0):
        raise InvalidInput(
            f"beta={beta!r} cannot work: inverse temperatures are finite and >= 0. For an "
            "antiferromagnet turn the sign of the coupling."
        )
    return value
