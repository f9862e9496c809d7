"""Systems whose log Z is known exactly: what the estimators of log Z are tried on.

One of each kind that an estimator may meet: a frustrated and an unfrustrated lattice, more than two
values a site, latent units, real coordinates with one well, many wells and thin shells, protocols.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import product
from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax

from statmech_ml import lattices
from statmech_ml.exact import enumeration, kaufman, onsager, quadrature, rbm, transfer_matrix
from statmech_ml.models import (
    BernoulliRBM,
    DraggedTrap,
    Gaussian,
    GaussianRBM,
    GaussianShells,
    HarmonicTrap,
    Ising,
    Potts,
    Quartic,
)
from statmech_ml.partition import Geometric, Path, Switching, Tempering, Weights
from statmech_ml.samplers import BlockGibbs


@dataclass(frozen=True)
class Target:
    """A path to a system, and the exact log Z at its end.

    Attributes
    ----------
    name : str
    source : str
        Where the exact log Z comes from.
    make_path, exact : callable
        The path and log Z at its end.
    easy : bool
        Whether estimators that fit must answer "ok" in at least 90% of runs.
    draw : callable
        ``draw(seed, n)``: exact independent draws of the target, (n, size), for runs that start
        there.
    """

    name: str
    source: str
    make_path: Callable[[], Path]
    exact: Callable[[], Any]
    draw: Callable[[int, int], np.ndarray]
    easy: bool = False

    @cached_property
    def path(self) -> Path:
        """The path, built once."""
        return self.make_path()

    @cached_property
    def log_z(self) -> float:
        """log Z at the end of the path, computed once."""
        return float(self.exact())


def _enumerated(model: Any, beta: float) -> Callable[[int, int], np.ndarray]:
    """Exact draws from a small discrete space, whose law is computed once."""

    @cache
    def law() -> np.ndarray:
        return enumeration.distribution(model, beta)

    def draw(seed: int, n: int) -> np.ndarray:
        index = np.random.default_rng(seed).choice(len(law()), n, p=law())
        return np.asarray(model.space.from_index(index))

    return draw


# --- lattices -------------------------------------------------------------------------------------

_TORUS = Ising(lattices.square(4, 4))
_BETA_C = onsager.critical_beta()
_POTTS = Potts(lattices.square(3, 3), q=3)
_POTTS_BETA = 1.0  # 1 / T_c = log(1 + sqrt 3) = 1.005


def _glass() -> Ising:
    lattice = lattices.square(6, 6, "open")
    signs = np.random.default_rng(60221).choice([-1.0, 1.0], lattice.n_bonds)
    return Ising(lattice, coupling=signs)


_GLASS = _glass()
_GLASS_BETA = 1.0


# --- machines -------------------------------------------------------------------------------------


def _machine() -> BernoulliRBM:
    g = np.random.default_rng(16180)
    return BernoulliRBM(g.normal(0, 0.5, 16), g.normal(0, 0.5, 8), g.normal(0, 0.6, (16, 8)))


_MACHINE = _machine()


def _gaussian_machine() -> GaussianRBM:
    g = np.random.default_rng(27182)
    sigma = g.uniform(0.7, 1.3, 6)
    return GaussianRBM(g.normal(0, 0.5, 6), g.normal(0, 0.5, 4), g.normal(0, 0.4, (6, 4)), sigma)


_GAUSSIAN_MACHINE = _gaussian_machine()


def gaussian_machine_law(model: GaussianRBM) -> tuple[np.ndarray, np.ndarray]:
    """All hidden states (2^n, n) and minus their free energies, the Gaussian integrals done.

    log int exp(-E(v, h)) dv = b.h + sum_i [(m_i^2 - a_i^2) / (2 s_i^2) + log(s_i sqrt(2 pi))], m =
    a + W h.
    """
    h = np.array(list(product((0.0, 1.0), repeat=model.n_hidden)))
    mean = model.visible_bias + h @ model.weights.T
    work = (mean**2 - model.visible_bias**2) / (2.0 * model.sigma**2)
    volume = np.log(model.sigma * np.sqrt(2.0 * np.pi))
    return h, h @ model.hidden_bias + (work + volume).sum(axis=1)


def _draw_gaussian_machine(seed: int, n: int) -> np.ndarray:
    model, rng = _GAUSSIAN_MACHINE, np.random.default_rng(seed)
    h, log_weight = gaussian_machine_law(model)
    chosen = h[rng.choice(len(h), n, p=softmax(log_weight))]
    return rng.normal(model.visible_bias + chosen @ model.weights.T, model.sigma)


# --- real coordinates -----------------------------------------------------------------------------

_QUARTIC = partial(Quartic, stiffness=-2.0, anharmonicity=0.5, tilt=0.3)
_SHELLS = GaussianShells(dim=2, radius=2.0, width=0.3, distance=6.0)


def _one_quartic(x: np.ndarray) -> np.ndarray:
    return _QUARTIC(1).reduced_energy(np.asarray(x)[:, None], 1.0)


def _quartic_log_z() -> float:
    return 5 * quadrature.log_z(_one_quartic).value


def _draw_quartic(seed: int, n: int) -> np.ndarray:
    """Inversion of the distribution function on a fine grid, coordinate by coordinate."""
    edges = np.linspace(-4.0, 4.0, 200_001)
    cumulative = np.cumsum(np.exp(-_one_quartic(0.5 * (edges[1:] + edges[:-1]))))
    u = np.random.default_rng(seed).random((n, 5)) * cumulative[-1]
    return np.asarray(np.interp(u, np.insert(cumulative, 0, 0.0), edges))


def _radial(rho: np.ndarray) -> np.ndarray:
    """Minus the logarithm of 2 pi rho s(rho), s the profile of one shell."""
    radius, width, _ = _SHELLS.arrays
    scaled = (np.asarray(rho) - radius) / width
    return 0.5 * scaled**2 + np.log(width / np.sqrt(2.0 * np.pi)) - np.log(rho)


def _shells_log_z() -> float:
    """Two shells of 2 pi int rho s(rho) d rho each, by quadrature."""
    return float(np.log(2.0) + quadrature.log_z(_radial, 0.0, np.inf, points=(2.0,)).value)


def _draw_shells(seed: int, n: int) -> np.ndarray:
    radius, width, distance = _SHELLS.arrays
    rng = np.random.default_rng(seed)
    edges = np.linspace(max(0.0, radius - 9.0 * width), radius + 9.0 * width, 100_001)
    cumulative = np.cumsum(np.exp(-_radial(0.5 * (edges[1:] + edges[:-1]))))
    rho = np.interp(rng.random(n) * cumulative[-1], np.insert(cumulative, 0, 0.0), edges)
    angle = 2.0 * np.pi * rng.random(n)
    centre = 0.5 * distance * rng.choice([-1.0, 1.0], n)
    return np.stack([centre + rho * np.cos(angle), rho * np.sin(angle)], axis=1)


# --- protocols ------------------------------------------------------------------------------------

_STIFFENED = HarmonicTrap(stiffness=(1.0, 4.0), dim=2)
_DRAGGED = DraggedTrap(stiffness=1.0, distance=2.0)


def _draw_stiffened(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.5, (n, 2))


def _draw_dragged(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(2.0, 1.0, (n, 1))


# --- the table ------------------------------------------------------------------------------------

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            "Ising 4x4 torus",
            "Kaufman (1949), at T_c",
            lambda: Tempering(_TORUS, _BETA_C),
            lambda: kaufman.log_z(4, 4, _BETA_C),
            easy=True,
            draw=_enumerated(_TORUS, _BETA_C),
        ),
        Target(
            "+-J glass 6x6",
            "transfer matrix; open boundary, beta = 1",
            lambda: Tempering(_GLASS, _GLASS_BETA),
            lambda: transfer_matrix.log_z(_GLASS, _GLASS_BETA),
            draw=lambda seed, n: transfer_matrix.draw(_GLASS, _GLASS_BETA, n, seed),
        ),
        Target(
            "Potts q=3 3x3",
            "enumeration of 3^9 states, beta = 1",
            lambda: Tempering(_POTTS, _POTTS_BETA),
            lambda: enumeration.log_z(_POTTS, _POTTS_BETA),
            draw=_enumerated(_POTTS, _POTTS_BETA),
        ),
        Target(
            "RBM 16x8, weights",
            "sum over the hidden layer",
            lambda: Weights(_MACHINE),
            lambda: rbm.log_z(_MACHINE),
            easy=True,
            draw=_enumerated(_MACHINE, 1.0),
        ),
        Target(
            "RBM 16x8, tempered",
            "sum over the hidden layer",
            lambda: Tempering(_MACHINE, 1.0, BlockGibbs()),
            lambda: rbm.log_z(_MACHINE),
            easy=True,
            draw=_enumerated(_MACHINE, 1.0),
        ),
        Target(
            "Gaussian RBM 6x4",
            "sum of 2^4 Gaussian integrals",
            lambda: Weights(_GAUSSIAN_MACHINE),
            lambda: logsumexp(gaussian_machine_law(_GAUSSIAN_MACHINE)[1]),
            easy=True,
            draw=_draw_gaussian_machine,
        ),
        Target(
            "quartic, 5 dim",
            "quadrature of one coordinate",
            lambda: Geometric(Gaussian(stddev=1.5, dim=5), _QUARTIC(5)),
            _quartic_log_z,
            draw=_draw_quartic,
        ),
        Target(
            "Gaussian shells",
            "radial quadrature",
            lambda: Geometric(Gaussian(stddev=[4.0, 2.0]), _SHELLS),
            _shells_log_z,
            draw=_draw_shells,
        ),
        Target(
            "stiffened trap",
            "Gaussian integral",
            lambda: Switching(_STIFFENED),
            lambda: _STIFFENED.log_z(1.0),
            easy=True,
            draw=_draw_stiffened,
        ),
        Target(
            "dragged trap",
            "Gaussian integral",
            lambda: Switching(_DRAGGED),
            lambda: _DRAGGED.log_z(1.0),
            easy=True,
            draw=_draw_dragged,
        ),
    )
}
