"""What mean field, TAP and Bethe see: sites of q values, joined in pairs.

    log w(x) = constant + sum_i fields[i, x_i] + sum_<ij> J_ij f[x_i, x_j],    Z = sum_x w(x),

x_i an index 0 .. q - 1, beta multiplied in, each pair once. One table f serves all bonds: the
product of two values for spins and bits, Kronecker's delta for Potts.

An RBM is bipartite here, visible units first; its hidden units are sites like the others, so Z is
the same. Where one layer has spins and the other bits, all sites are bits. Normal units are
integrated out exactly, which joins those of the other layer in pairs: with c = W h,

    int dv exp(-beta E(v, h)) = prod_i (2 pi s_i^2 / beta)^(1/2)
                                exp(beta (b.h + sum_i (a_i c_i + c_i^2 / 2) / s_i^2)),

and likewise for normal hidden units.
"""

import math
from dataclasses import dataclass
from functools import cached_property, singledispatch
from importlib import metadata
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csgraph, csr_array
from scipy.special import softmax

from ..errors import InvalidInput
from ..exact._arguments import inverse_temperature
from ..exact._interactions import interactions
from ..graphs import EdgeGraph, frustrated
from ..models import RBM, BoltzmannMachine, GaussianRBM, Hopfield, Ising, Potts
from .path import Path

_POWER_STEPS = 100
_N_MODES = 2
_TILT = 0.01


class HalfBonds(NamedTuple):
    """Both directions of every bond, sorted by the site they arrive at.

    Arrays: start int64 (n + 1,): those of site i are ``start[i]:start[i + 1]``; neighbour int64
    (2 m,): where they come from; coupling float64 (2 m,); reverse int64 (2 m,): the same bond the
    other way; of_bond int64 (m, 2): those that arrive at its first and its second site.
    """

    start: np.ndarray
    neighbour: np.ndarray
    coupling: np.ndarray
    reverse: np.ndarray
    of_bond: np.ndarray


@dataclass(frozen=True, eq=False)
class Pairwise:
    """A pairwise model at one beta; see the module docstring.

    fields float64 (n, q), bonds int64 (m, 2) without repetition, couplings float64 (m,) none of
    them zero, interaction float64 (q, q) symmetric, values (q,), constant, provenance.
    """

    fields: np.ndarray
    bonds: np.ndarray
    couplings: np.ndarray
    interaction: np.ndarray
    values: np.ndarray
    constant: float
    provenance: dict[str, Any]

    @property
    def is_numeric(self) -> bool:
        """Whether the interaction is the product of two values: spins and bits."""
        return np.array_equal(self.interaction, np.outer(self.values, self.values))

    @cached_property
    def matrix(self) -> csr_array:
        """J, symmetric, sparse (n, n)."""
        half = self.half_bonds
        return csr_array((half.coupling, half.neighbour, half.start), shape=(len(self.fields),) * 2)

    @cached_property
    def half_bonds(self) -> HalfBonds:
        """What kernels walk along."""
        arrives, leaves = self.bonds.ravel(), self.bonds[:, ::-1].ravel()
        order = np.argsort(arrives, kind="stable")
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        of_bond = place.reshape(-1, 2)
        start = np.searchsorted(arrives[order], np.arange(len(self.fields) + 1))
        return HalfBonds(
            start.astype(np.int64),
            leaves[order],
            np.repeat(self.couplings, 2)[order],
            of_bond[:, ::-1].ravel()[order],
            of_bond,
        )

    @cached_property
    def _graph(self) -> EdgeGraph:
        return EdgeGraph(self.bonds, len(self.fields))

    @cached_property
    def is_forest(self) -> bool:
        """Whether no loop exists."""
        return len(self.bonds) == len(self.fields) - self._graph.n_components

    @cached_property
    def is_bipartite(self) -> bool:
        """Whether every loop is even; triangles need an odd one."""
        return self.is_forest or not self._frustrated(np.full(len(self.bonds), -1, np.int8))

    @cached_property
    def is_attractive(self) -> bool:
        """Whether relabelling the two values site by site makes every coupling positive."""
        if len(self.values) != 2:
            return False
        # What counts of a 2 x 2 table is whether it favours the diagonal.
        table = self.interaction
        diagonal = np.sign(table[0, 0] + table[1, 1] - table[0, 1] - table[1, 0])
        signs = np.sign(self.couplings) * diagonal
        return self.is_forest or not self._frustrated(signs.astype(np.int8))

    def _frustrated(self, signs: np.ndarray) -> bool:
        table = np.append(signs, np.int8(0))[self._graph.neighbour_bonds]
        return frustrated(self._graph.neighbours, table)

    @cached_property
    def breadth_first(self) -> np.ndarray:
        """Sites, int64 (n,), such that on a tree each stands after its parent."""
        n = len(self.fields)
        # One more site, bonded to one of each component, makes it one search.
        roots = np.unique(self._graph.components, return_index=True)[1]
        ends = np.concatenate([self.bonds, np.stack([np.full(len(roots), n), roots], axis=1)])
        joined = csr_array((np.ones(len(ends)), tuple(ends.T)), shape=(n + 1, n + 1))
        order = csgraph.breadth_first_order(joined, n, directed=False, return_predecessors=False)
        return order[1:].astype(np.int64)

    def starts(self, given: Any = None) -> list[np.ndarray]:
        """Marginals float64 (n, q) to start from: fixed points depend on it.

        Independent sites, tilted a little so that no unstable fixed point holds them; every site at
        one value, for each value; for two values the signs of the leading modes of J, which are the
        first to order; and the configurations `given`.
        """
        n, q = self.fields.shape
        tilt = _TILT * np.cos(np.arange(n * q)).reshape(n, q)
        found = [softmax(self.fields + tilt, axis=1)]
        indices = [np.full(n, a) for a in range(q)]
        if q == 2 and len(self.bonds):
            for mode in self._leading_modes().T:
                indices += [(mode > 0.0).astype(int), (mode <= 0.0).astype(int)]
        if given is not None:
            indices += list(self._indices(given))
        return found + [np.eye(q)[index] for index in indices]

    def _leading_modes(self) -> np.ndarray:
        """Approximate eigenvectors of the largest eigenvalues of J, by subspace iteration."""
        J = self.matrix
        shift = float(np.max(abs(J).sum(axis=1)))  # makes the largest eigenvalues the dominant ones
        modes = np.cos(np.outer(1.0 + np.arange(J.shape[0]), np.sqrt(2.0 + np.arange(_N_MODES))))
        for _ in range(_POWER_STEPS):
            modes = np.linalg.qr(J @ modes + shift * modes)[0]
        return modes

    def _indices(self, given: Any) -> np.ndarray:
        """Configurations (n_starts, n) as indices of values."""
        n = len(self.fields)
        try:
            x = np.atleast_2d(np.asarray(given, np.float64))
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"start is no array of numbers: {error}.") from error
        if x.ndim != 2 or x.shape[1] != n or not np.isin(x, self.values).all():
            raise InvalidInput(
                f"start has shape {x.shape}; configurations (n_starts, {n}) of the values "
                f"{', '.join(f'{v:g}' for v in self.values)} are needed."
            )
        return np.searchsorted(self.values, x)


def pairwise(model: Any, beta: float | None, who: str) -> Pairwise:
    """The pairwise model behind a model at beta (default 1), or behind a path's target."""
    if isinstance(model, Path):
        if beta is not None:
            raise InvalidInput(
                f"beta={beta!r} together with a path: the path ends at its own beta."
            )
        model, beta = model.target
    value = inverse_temperature(1.0 if beta is None else beta)
    if value.ndim:
        raise InvalidInput(f"beta={beta!r} is an array; {who} answers for one beta.")
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        parts = _parts(model, float(value))
    if parts is None:
        raise InvalidInput(
            f"{who} is for pairwise models, Ising, Potts, Boltzmann machines and RBMs of bits, "
            f"spins and normal units, but got {model!r}. Use ais or another estimator on a path."
        )
    if not (np.isfinite(parts.fields).all() and np.isfinite(parts.couplings).all()):
        raise InvalidInput(f"beta={beta!r} times the couplings or fields of {model!r} overflows.")
    bonds, couplings = _merged(parts.bonds, parts.couplings, len(parts.fields))
    versions = {name: metadata.version(name) for name in ("statmech-ml", "numpy", "numba")}
    provenance = {"model": repr(model), "beta": float(value), "versions": versions}
    return Pairwise(
        parts.fields, bonds, couplings, parts.interaction, parts.values, parts.constant, provenance
    )


class _Parts(NamedTuple):
    """What a model says of itself; bonds may repeat and couplings be zero."""

    fields: np.ndarray
    bonds: np.ndarray
    couplings: np.ndarray
    interaction: np.ndarray
    values: np.ndarray
    constant: float = 0.0


def _two_valued(
    biases: np.ndarray,
    bonds: np.ndarray,
    couplings: np.ndarray,
    spins: np.ndarray,
    constant: float = 0.0,
) -> _Parts:
    """Units with biases (n,), couplings (m,), in {-1, +1} where `spins` (n,), else in {0, 1}."""
    if not spins.all() and spins.any():  # x = w y + o of bits y
        w, o = np.where(spins, 2.0, 1.0), np.where(spins, -1.0, 0.0)
        i, j = bonds.T
        constant += float(biases @ o + couplings @ (o[i] * o[j]))
        moved = biases.copy()
        np.add.at(moved, i, couplings * o[j])
        np.add.at(moved, j, couplings * o[i])
        biases, couplings = w * moved, couplings * w[i] * w[j]
    values = np.array([-1.0, 1.0]) if spins.all() else np.array([0.0, 1.0])
    return _Parts(
        biases[:, None] * values, bonds, couplings, np.outer(values, values), values, constant
    )


def _integrated(c: np.ndarray, K: np.ndarray, spins: bool, constant: float) -> _Parts:
    """log w = c.x + x.K.x / 2 of units of one kind, as normal units leave them; K any diagonal."""
    i, j = np.triu_indices(len(c), 1)
    own = 0.5 * np.diag(K)  # x^2 is 1 of spins and x of bits
    biases, more = (c, float(own.sum())) if spins else (c + own, 0.0)
    kinds = np.full(len(c), spins)
    return _two_valued(biases, np.stack([i, j], axis=1), K[i, j], kinds, constant + more)


@singledispatch
def _parts(model: Any, beta: float) -> _Parts | None:
    """The pairwise form of a model at beta; None for models that have none."""
    return None


@_parts.register(Ising)
@_parts.register(Potts)
def _(model: Any, beta: float) -> _Parts:
    found = interactions(model, "This approximation")
    values = model.space.values.astype(np.float64)
    return _Parts(-beta * found.sites, found.bonds, beta * found.couplings, found.kind, values)


def _kinds(model: Any) -> np.ndarray:
    """Which units are spins, visible ones first, bool (n_visible + n_hidden,)."""
    names = [model.visible_units.name] * model.n_visible + [
        model.hidden_units.name
    ] * model.n_hidden
    return np.array(names) == "spins"


def _needs_width(beta: float) -> None:
    if beta == 0.0:
        raise InvalidInput("beta=0 makes the normal units flat, and Z infinite. Use beta > 0.")


@_parts.register
def _(model: RBM, beta: float) -> _Parts:
    if model.hidden_units.name == "normal":
        _needs_width(beta)
        b, weights = model.hidden_bias, model.weights
        own = 0.5 * beta * float(b @ b) + 0.5 * len(b) * math.log(2.0 * math.pi / beta)
        c, K = model.visible_bias + weights @ b, weights @ weights.T
        return _integrated(beta * c, beta * K, model.visible_units.name == "spins", own)
    biases = beta * np.concatenate([model.visible_bias, model.hidden_bias])
    i, j = np.indices(model.weights.shape).reshape(2, -1)
    bonds = np.stack([i, j + model.n_visible], axis=1)
    return _two_valued(biases, bonds, beta * model.weights.ravel(), _kinds(model))


@_parts.register
def _(model: BoltzmannMachine, beta: float) -> _Parts:
    n = model.n_visible
    i, j = np.triu_indices(n, 1)
    v, h = np.indices(model.weights.shape).reshape(2, -1)
    bonds = np.concatenate([np.stack([i, j], axis=1), np.stack([v, h + n], axis=1)])
    couplings = beta * np.concatenate([model.couplings[i, j], model.weights.ravel()])
    biases = beta * np.concatenate([model.visible_bias, model.hidden_bias])
    return _two_valued(biases, bonds, couplings, _kinds(model))


@_parts.register
def _(model: Hopfield, beta: float) -> _Parts:
    n = model.space.size
    xi = model.patterns.astype(np.float64)
    return _integrated(np.zeros(n), beta * (xi.T @ xi) / n, True, 0.0)


@_parts.register
def _(model: GaussianRBM, beta: float) -> _Parts:
    _needs_width(beta)
    scaled = model.weights / model.sigma[:, None]
    c = model.hidden_bias + (model.visible_bias / model.sigma) @ scaled
    constant = 0.5 * float(np.log(2.0 * math.pi * model.sigma**2 / beta).sum())
    spins = model.hidden_units.name == "spins"
    return _integrated(beta * c, beta * scaled.T @ scaled, spins, constant)


def _merged(bonds: np.ndarray, couplings: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Bonds between the same two sites as one (sides of length 2), and none of coupling zero."""
    ordered = np.sort(bonds.reshape(-1, 2), axis=1).astype(np.int64)
    key, where = np.unique(ordered[:, 0] * n + ordered[:, 1], return_inverse=True)
    total = np.bincount(where, weights=couplings, minlength=len(key))
    keep = total != 0.0
    return np.stack(np.divmod(key[keep], n), axis=1), total[keep]
