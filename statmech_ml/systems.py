"""The EnergyModel protocol and its capabilities.

A model is a state space, an energy, and (for compiled samplers) a `NamedTuple` of frozen arrays
whose methods are plain Python. Everything beyond the energy is a *capability*: a small set of
methods that some sampler needs and looks for.

==============  ================================================================  ================
capability      methods of the compiled NamedTuple                                asked for by
==============  ================================================================  ================
(every model)   ``energy(x)``; ``reduced_energy(x, beta)`` if not beta * energy   everything
Local           ``delta_energy(x, site, value)`` (or ``delta_reduced_energy``)    HeatBath,
                                                                                  Metropolis
Tabulated       ``environment(x, site)`` and a field ``gaps``, for two values     HeatBath by
                a site: E(higher) - E(lower) of each environment                  thresholds, CUDA
Differentiable  ``gradient(x, out)`` (or ``reduced_gradient(x, beta, out)``)      MALA, HMC, ULA,
                                                                                  SGLD, ...
Clusterable     ``link(x, site, k, value)``, fields ``neighbours``, ``links``     Wolff,
                (and on the model ``cluster_obstacle``, why not, or None)         SwendsenWang
Conditional     on the model: ``hidden_space``, the space of the hidden units,    BlockGibbs
                ``hidden_logits`` or ``hidden_normal``, ``visible_logits`` or
                ``visible_normal``
Minibatched     on the model: ``n_data`` and ``minibatch_gradient(theta, beta,    SGLD, PSGLD,
                rows)``                                                           SGHMC
==============  ================================================================  ================

A model whose energy is no loop over one configuration (a matrix product, a user's function, a
network) has no compiled arrays. It lists its capabilities itself and answers in batches: ``energy``
and ``reduced_energy``, and where it is Differentiable ``reduced_gradient(x, beta)``, (*batch, size)
-> (*batch, size), on which Langevin samplers run a twin in numpy.

``hidden_logits(v, beta, dtype)`` are the log-odds of the higher value of two-valued units, (*batch,
n_hidden), ``visible_logits(h, beta, dtype)`` those of visible ones, or (*batch, n_visible, q)
log-weights of the values of q-valued ones (`Levels`). Units of a `Reals` layer are normal:
``hidden_normal`` and ``visible_normal`` return mean and standard deviation. `dtype` is the
precision of the matrix product, float64 by default.

``minibatch_gradient`` of a posterior of ``n_data`` data takes theta (chain, dim), beta (chain,) and
rows, int (chain, batch), the data that each chain sees: the gradient of the reduced energy with the
sum over all data replaced by n_data / batch times that over the rows, float64 (chain, dim). Rows
drawn uniformly, with replacement or without, make it unbiased.

Energies are in units of the coupling; beta stays outside (`reduced_energy` is what an ensemble
needs).
"""

from dataclasses import FrozenInstanceError
from functools import cached_property
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from ._jit import capability, kernel
from .errors import InvalidInput, MissingCapability
from .graphs import Graph, Schedule
from .spaces import Discrete, Space


@capability
def energy(model, x):
    """Total energy E(x) of one configuration."""
    raise NotImplementedError


@capability
def reduced_energy(model, x, beta):
    """What the ensemble at beta weighs a configuration with, exp(-reduced_energy)."""
    return beta * model.energy(x)


@capability
def delta_energy(model, x, site, value):
    """Energy change when x[site] becomes `value`."""
    raise NotImplementedError


@capability
def delta_reduced_energy(model, x, site, value, beta):
    """Change of the reduced energy when x[site] becomes `value`."""
    return beta * model.delta_energy(x, site, value)


@capability
def environment(model, x, site):
    """Which of the few local environments `site` sits in: an index into the model's `gaps`.

    It may read x at the lattice neighbours of `site` only: sites of one colour are updated at once.
    """
    raise NotImplementedError


@capability
def gradient(model, x, out):
    """Write dE/dx into `out`."""
    raise NotImplementedError


@capability
def reduced_gradient(model, x, beta, out):
    """Write the gradient of the reduced energy into `out`."""
    model.gradient(x, out)
    for i in range(out.shape[0]):
        out[i] *= beta


@capability
def link(model, x, site, k, value):
    """Index into `links` of the bond to the k-th neighbour of `site`, as if x[site] were `value`.

    -1 where that bond would be unsatisfied, or where there is no k-th neighbour.
    """
    raise NotImplementedError


@runtime_checkable
class EnergyModel(Protocol):
    """What samplers and estimators see: a space and two energies of batches (*batch, *event)."""

    @property
    def space(self) -> Space:
        """The state space."""
        ...

    def energy(self, x: Any) -> np.ndarray:
        """E(x), float64, (*batch, *event) -> (*batch,)."""
        ...

    def reduced_energy(self, x: Any, beta: Any) -> np.ndarray:
        """The reduced energy at beta (broadcast against the batch), float64, (*batch,)."""
        ...


class Model:
    """An energy model whose physics is a compiled NamedTuple.

    Parameters
    ----------
    space : Space
        The state space of one configuration.
    arrays : NamedTuple
        Frozen arrays with methods in plain Python (see the table above). It must have ``energy``.
    lattice : Graph, optional
        Where the sites sit: gives parallel (coloured) update orders and lattice observables. It
        must bond every two sites that interact, as sites of one colour are updated at once on CUDA;
        leave it out if it does not.

    A model of your own is a NamedTuple and one call: ``Model(Spins(16), MyEnergy(couplings))``.

    Models do not change: what is derived from their attributes (tables, capabilities) is kept, so
    an attribute is set once, in ``__init__``.
    """

    def __init__(self, space: Space, arrays: NamedTuple, lattice: Graph | None = None) -> None:
        if not hasattr(type(arrays), "energy"):
            raise InvalidInput(
                f"{type(arrays).__name__} has no method energy(self, x). A compiled model is a "
                "NamedTuple of arrays with at least that method."
            )
        if lattice is not None and lattice.n_sites != space.size:
            raise InvalidInput(
                f"The lattice has {lattice.n_sites} sites but the state space {space.size}."
            )
        self.space = space
        self.arrays = arrays
        self.lattice = lattice

    def energy(self, x: Any) -> np.ndarray:
        """E(x), float64, (*batch, size) -> (*batch,); InvalidInput for values off the space."""
        x = self.space.check(x)
        flat = x.reshape(-1, self.space.size)
        out = np.empty(len(flat))
        _energies(self.arrays, flat, out)
        return out.reshape(x.shape[:-1])

    def reduced_energy(self, x: Any, beta: Any) -> np.ndarray:
        """The reduced energy at beta, float64; beta and the batch broadcast against each other."""
        x, beta = self.space.check(x), np.asarray(beta, np.float64)
        batch = common_shape(x.shape[:-1], beta)
        flat, betas = _read_only(x, (*batch, x.shape[-1])), _read_only(beta, batch)
        out = np.empty(betas.size)
        _reduced_energies(self.arrays, flat.reshape(-1, x.shape[-1]), betas.reshape(-1), out)
        return out.reshape(batch)

    def reduced_gradient(self, x: Any, beta: Any) -> np.ndarray:
        """Gradient of the reduced energy at beta, float64 (*batch, size)."""
        require(self, "Differentiable", "reduced_gradient", "Give the model a gradient(x, out).")
        x, beta = self.space.check(x), np.asarray(beta, np.float64)
        batch = common_shape(x.shape[:-1], beta)
        flat, betas = _read_only(x, (*batch, x.shape[-1])), _read_only(beta, batch)
        out = np.empty((betas.size, self.space.size))
        _reduced_gradients(self.arrays, flat.reshape(out.shape), betas.reshape(-1), out)
        return out.reshape(flat.shape)

    def __setattr__(self, name: str, value: Any) -> None:
        derived = isinstance(getattr(type(self), name, None), cached_property)
        if derived or name in vars(self):
            kind = type(self).__name__
            raise FrozenInstanceError(
                f"{name}={value!r} cannot be set: a {kind} is frozen, because tables made from its "
                "attributes are already in use and would go on describing the old ones. Make "
                f"another {kind}."
            )
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(
            f"{name} cannot be deleted: a {type(self).__name__} is frozen. Make another one."
        )

    @cached_property
    def capabilities(self) -> frozenset[str]:
        """What samplers may ask of this model: names from the table above."""
        methods = set(dir(type(self.arrays)))
        found: set[str] = set()
        if isinstance(self.space, Discrete) and {"delta_energy", "delta_reduced_energy"} & methods:
            found.add("Local")
            gaps: Any = getattr(self.arrays, "gaps", ())
            if "environment" in methods and self.space.n_values == 2 and len(gaps):
                found.add("Tabulated")
        if {"gradient", "reduced_gradient"} & methods:
            found.add("Differentiable")
        if "link" in methods:
            found.add("Clusterable")
        visible = hasattr(self, "visible_logits") or hasattr(self, "visible_normal")
        if visible and hasattr(self, "hidden_space"):
            found.add("Conditional")
        if hasattr(self, "minibatch_gradient"):
            found.add("Minibatched")
        return frozenset(found)

    @property
    def schedule(self) -> Schedule:
        """The update order of local sweeps: by colour on a lattice, natural order without one."""
        if self.lattice is not None:
            return self.lattice.schedule
        return Schedule.sequential(self.space.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.space})"


@kernel
def _energies(model, x, out):
    for i in range(x.shape[0]):
        out[i] = energy(model, x[i])


@kernel
def _reduced_energies(model, x, beta, out):
    for i in range(x.shape[0]):
        out[i] = reduced_energy(model, x[i], beta[i])


@kernel
def _reduced_gradients(model, x, beta, out):
    for i in range(x.shape[0]):
        reduced_gradient(model, x[i], beta[i], out[i])


def common_shape(batch: tuple[int, ...], beta: np.ndarray) -> tuple[int, ...]:
    """The shape to which a batch of configurations and beta broadcast, or InvalidInput."""
    try:
        return np.broadcast_shapes(batch, beta.shape)
    except ValueError as error:
        raise InvalidInput(
            f"beta has shape {beta.shape} for a batch of shape {batch}. Give one number, or an "
            "array that broadcasts against the batch."
        ) from error


def _read_only(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`x` broadcast to a shape, contiguous and read-only: one type for kernels."""
    view = np.ascontiguousarray(np.broadcast_to(x, shape)).view()
    view.flags.writeable = False
    return view


def require(model: Any, needed: str, sampler: str, instead: str) -> None:
    """Raise MissingCapability unless `model` has the capability `needed`."""
    found: frozenset[str] = getattr(model, "capabilities", frozenset())
    if needed not in found:
        has = ", ".join(sorted(found)) or "none"
        raise MissingCapability(
            f"{sampler} needs the capability {needed}, but {type(model).__name__} has {has}. "
            f"{instead}"
        )
