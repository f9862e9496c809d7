"""Deterministic approximations of log Z: how fast they converge, where they bound, where they are
exact.
"""

import math
from functools import partial
from itertools import pairwise

import numpy as np

from statmech_ml import lattices
from statmech_ml.exact import enumeration, rbm
from statmech_ml.graphs import Graph
from statmech_ml.models import BernoulliRBM, Ising, Potts
from statmech_ml.partition import bethe, mean_field, tap
from statmech_ml.partition.logz import EXACT
from validation.check import Check, Measurement, Mutant, identity

from .exact import small_rbm

# Exponents between W, W/2 and W/4 are extrapolated to W = 0; what is left is of order W^2.
_WEIGHT, _EXPONENT_ERROR = 0.02, 0.1
_EQUAL = 1e-12


def scaled(strength: float) -> BernoulliRBM:
    """A small RBM with weights of this size."""
    model = small_rbm()
    return BernoulliRBM(model.visible_bias, model.hidden_bias, strength * model.weights)


def _tap_orders(seed: int, scale: int, *, shift: int = 0) -> list[Measurement]:
    """The exponent p of the error, W^p as W -> 0."""
    found = []
    for order in (1, 2, 3):
        used = max(1, order - shift)
        errors = [
            abs(tap(scaled(s), order=used).value - float(rbm.log_z(scaled(s))))
            for s in (_WEIGHT, _WEIGHT / 2, _WEIGHT / 4)
        ]
        coarse, fine = (math.log2(a / b) for a, b in pairwise(errors))
        exponent = 2.0 * fine - coarse
        name = f"error of order {order} ~ W^p, p"
        found.append(identity(name, exponent, order + 1, _EXPONENT_ERROR))
    return found


def _models() -> list[tuple[str, Ising, float]]:
    g = np.random.default_rng(31415)
    square = lattices.square(3, 4, "open")
    fields = g.normal(0.0, 0.4, square.n_sites)
    attractive = np.abs(g.normal(0.0, 1.0, square.n_bonds))
    return [
        ("3 x 4 torus", Ising(lattices.square(3, 4), coupling=0.8, field=0.2), 0.4),
        ("3 x 4 open, J > 0 random, h random", Ising(square, attractive, fields), 0.7),
        ("4 x 4 torus at T_c", Ising(lattices.square(4, 4)), 0.44),
    ]


def _bounds(seed: int, scale: int, *, sign: float = 1.0) -> list[Measurement]:
    """By how much a lower bound exceeds log Z: not at all."""
    found = []
    for name, model, beta in _models():
        exact = float(enumeration.log_z(model, beta))
        for label, result in (
            ("mean field", mean_field(model, beta)),
            ("Bethe", bethe(model, beta)),
        ):
            if result.lower is None:
                raise AssertionError(f"{result} gives no bound, though one holds")
            excess = max(0.0, sign * (result.lower - exact))
            found.append(identity(f"{label} above log Z, {name}", excess, 0.0, _EQUAL * exact))
    return found


def _tree(closed: bool = False) -> Graph:
    """Two branching trees, apart from one another; `closed` adds a bond that makes a loop."""
    edges = [(0, 1), (1, 2), (1, 3), (3, 4), (3, 5), (6, 7), (7, 8)]
    return lattices.from_edges([*edges, (2, 4)] if closed else edges, n_sites=9)


def _bethe_trees(
    seed: int, scale: int, *, closed: bool = False, lose_field: bool = False
) -> list[Measurement]:
    g = np.random.default_rng(14142)
    J, h = g.normal(size=8), g.normal(size=9)
    values = g.normal(0.0, 0.7, (9, 3))
    tree, used = _tree(), _tree(closed)
    n = used.n_bonds
    found = []
    for beta in (0.6, 1.7):
        for name, exact_model, model in (
            ("Ising", Ising(tree, J[:7], h), Ising(used, J[:n], 0.0 if lose_field else h)),
            (
                "Potts",
                Potts(tree, 3, J[:7], values),
                Potts(used, 3, J[:n], 0.0 if lose_field else values),
            ),
        ):
            exact = float(enumeration.log_z(exact_model, beta))
            result = bethe(model, beta)
            found.append(
                identity(f"log Z, {name}, beta = {beta}", result.value, exact, _EQUAL * exact)
            )
            found.append(
                identity(f"says exact, {name}, beta = {beta}", result.status == EXACT, True, 0.5)
            )
    return found


CHECKS = (
    Check(
        "approximations.tap-orders",
        "The error of TAP falls as W^2, W^3, W^4 at orders 1, 2, 3 on a small RBM (Plefka 1982).",
        _tap_orders,
        (Mutant("one order less than asked", partial(_tap_orders, shift=1)),),
    ),
    Check(
        "approximations.bounds",
        "Mean field (Gibbs) and, for attractive couplings, Bethe (Ruozzi 2012) are never above "
        "log Z.",
        _bounds,
        (Mutant("bounds from above", partial(_bounds, sign=-1.0)),),
    ),
    Check(
        "approximations.bethe-trees",
        "Belief propagation is exact without loops: random couplings and fields on a forest, "
        "Ising and Potts.",
        _bethe_trees,
        (
            Mutant("one bond closes a loop", partial(_bethe_trees, closed=True)),
            Mutant("fields lost", partial(_bethe_trees, lose_field=True)),
        ),
    ),
)
