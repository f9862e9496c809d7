"""A Path from a reference whose log Z is known (lambda = 0) to the target (lambda = 1).

Estimators see a path only: a reduced energy u_lambda(x), a sampler that leaves exp(-u_lambda)
invariant, log Z and exact draws at lambda = 0. Whatever serves these serves every estimator.

=========  ===============================================  =====================================
path       u_lambda(x)                                      reference, lambda = 0
=========  ===============================================  =====================================
Tempering  u of the model at lambda beta                    uniform over a finite space
Geometric  (1 - lambda) u_reference + lambda u_model(beta)  Gaussian, or any law drawn exactly
Weights    of an RBM with lambda W in place of W            independent units
Switching  of a model whose own protocol runs with lambda   where the protocol starts
=========  ===============================================  =====================================
"""

import math
from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
from scipy.special import expit

from .. import _rng
from ..errors import InvalidInput, MissingCapability
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

    def reduced_energies(self, x: np.ndarray, lams: Any) -> np.ndarray:
        """u of the same configurations at many lambdas, float64 (len(lams), *batch)."""
        return np.stack([self.reduced_energy(x, float(lam)) for lam in lams])

    @abstractmethod
    def slope(self, x: np.ndarray, lam: Any) -> np.ndarray:
        """du_lambda/dlambda, float64 (*batch,); MissingCapability where the model cannot tell."""

    def advance(
        self, state: State, lam: Any, n_sweeps: int, sampler: Sampler | None = None
    ) -> tuple[State, Info]:
        """`n_sweeps` sweeps at lambda, one or one per chain, by `sampler` (default: the path's)."""
        betas = np.empty(len(state.x))
        betas[:] = self.beta_at(lam)
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

    def reduced_energies(self, x: np.ndarray, lams: Any) -> np.ndarray:
        """u at many lambdas; one energy serves all of them where u = beta E."""
        if not is_linear(self.model):
            return super().reduced_energies(x, lams)
        return np.multiply.outer(self.beta_at(lams), self.model.energy(x))

    def slope(self, x: np.ndarray, lam: Any) -> np.ndarray:
        """beta E(x), or beta times the model's own du/dbeta at lambda beta."""
        return self.beta * slope_in_beta(self.model, x, self.beta_at(lam))

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

    def reduced_energies(self, x: np.ndarray, lams: Any) -> np.ndarray:
        """u at many lambdas from the energies of the two ends."""
        start, end = self.reduced_energy(x, 0.0), self.reduced_energy(x, 1.0)
        out = np.empty((len(lams), *start.shape))
        for u, lam in zip(out, lams, strict=True):
            # The ends by themselves: an infinite energy times zero is not a number.
            inner = 0.0 < lam < 1.0
            u[...] = (1.0 - lam) * start + lam * end if inner else (start if lam <= 0.0 else end)
        return out

    def slope(self, x: np.ndarray, lam: Any) -> np.ndarray:
        """u_1(x) - u_0(x), at any lambda."""
        return self.reduced_energy(x, 1.0) - self.reduced_energy(x, 0.0)

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

    def reduced_energies(self, x: np.ndarray, lams: Any) -> np.ndarray:
        """u at many lambdas from one product v.W."""
        return np.asarray(self.model.reduced_energies(x, lams))

    def slope(self, x: np.ndarray, lam: Any) -> np.ndarray:
        """- sum_j sigmoid(b + lambda v.W)_j (v.W)_j."""
        return np.asarray(self.model.slope(x, lam))

    def __repr__(self) -> str:
        return f"Weights({self.target[0]!r}, beta={self.beta:g}, sampler={self.sampler!r})"


class Switching(Path):
    """Along the protocol of a model that has one: u_lambda is its own reduced energy at lambda.

    What is switched by hand in an experiment: a trap that is dragged or stiffened. The weights of
    `jarzynski` are then exp(-work), with work in units of kT.

    Parameters
    ----------
    model : Model
        With lambda in the place of beta in its reduced energy, and with ``log_z(lam)`` and
        ``draws(seed, chains)``, exact at lambda = 0: `HarmonicTrap`, `DraggedTrap`.
    sampler : Sampler, default MALA()

    Raises
    ------
    InvalidInput
        When the model has no exact start.
    MissingCapability
        When the sampler does not fit.
    """

    def __init__(self, model: Any, sampler: Sampler | None = None) -> None:
        if not all(hasattr(model, name) for name in ("log_z", "draws", "slope")):
            raise InvalidInput(
                f"{model!r} has no protocol: Switching needs log_z(lam), draws(seed, chains) and "
                "slope(x, lam) of the model. Use models.HarmonicTrap or models.DraggedTrap, or "
                "Geometric(reference, model) for a model without a protocol."
            )
        self.model = model
        self.sampler = MALA() if sampler is None else sampler
        self.target = (model, 1.0)
        self.sampler.check(model)

    @property
    def log_z_reference(self) -> float:
        """log Z where the protocol starts."""
        return float(self.model.log_z(0.0))

    def sample_reference(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Draws where the protocol starts (chain, size)."""
        return np.asarray(self.model.draws(seed, chains))

    def slope(self, x: np.ndarray, lam: Any) -> np.ndarray:
        """The power that the protocol spends on x, du_lambda/dlambda."""
        return np.asarray(self.model.slope(x, lam))

    def __repr__(self) -> str:
        return f"Switching({self.model!r}, sampler={self.sampler!r})"


def is_linear(model: Any) -> bool:
    """Whether the reduced energy is beta times the energy: no compiled method says otherwise."""
    own = {"reduced_energy", "delta_reduced_energy"}
    return hasattr(model, "arrays") and not own & set(dir(type(model.arrays)))


def slope_in_beta(model: Any, x: np.ndarray, beta: Any) -> np.ndarray:
    """du/dbeta, float64 (*batch,): the model's own `slope`, or E where u = beta E."""
    if hasattr(model, "slope"):
        return np.asarray(model.slope(x, beta))
    if is_linear(model):
        return np.asarray(model.energy(x))
    raise MissingCapability(
        f"{model!r} does not tell how its reduced energy depends on beta. Give the class a method "
        "slope(x, beta), the derivative of reduced_energy(x, beta) by beta."
    )


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

    def reduced_energies(self, v: Any, lams: Any) -> np.ndarray:
        """The reduced energy at many lambdas, float64 (len(lams), *batch)."""
        v = self.space.check(v, "v").astype(np.float64)
        field, bias = v @ self._weights, v @ self._a
        return np.stack(
            [-bias - np.logaddexp(0.0, self._b + lam * field).sum(axis=-1) for lam in lams]
        )

    def slope(self, v: Any, lam: Any) -> np.ndarray:
        """The derivative of the reduced energy by lambda, float64 (*batch,)."""
        field = self.space.check(v, "v").astype(np.float64) @ self._weights
        on = expit(self._b + np.asarray(lam)[..., None] * field)
        return np.asarray(-(on * field).sum(axis=-1))

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
