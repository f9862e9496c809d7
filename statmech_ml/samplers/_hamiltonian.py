"""Hamiltonian trajectories by the leapfrog, kick-drift-kick, with or without accept/reject.

    H(x, z) = u(x) + z.z / 2,    z = p / sqrt(m) ~ N(0, I) drawn anew for every trajectory,

u the reduced energy and m the diagonal of the mass matrix; with s = 1 / sqrt(m), one step of length
eps is

    z <- z - eps/2 s grad u(x),    x <- x + eps s z,    z <- z - eps/2 s grad u(x).

S. Duane, A. D. Kennedy, B. J. Pendleton and D. Roweth, Phys. Lett. B 195, 216 (1987),
doi:10.1016/0370-2693(87)91197-X. The step preserves volume and is its own reverse once z is turned
round, so a proposal is taken with probability min(1, exp(-dH)), and <exp(-dH)> = 1 in equilibrium.
A trajectory of L steps costs L gradients and one energy.
"""

import math
from typing import Any

import numpy as np

from .. import _rng
from .._jit import jit, kernel
from .._rng import ACCEPT, MOMENTUM, block, normal_pair, unit
from ..systems import reduced_energy, reduced_gradient

DIVERGED = 1000.0
"""Energy error beyond which a trajectory has left its orbit: M. D. Hoffman and A. Gelman, J. Mach.
Learn. Res. 15, 1593 (2014), arXiv:1111.4246, section 3.1.2."""


@jit
def momenta(z, seed, chain, sweep):
    """Fill z (dim,) with the standard normals of one trajectory; z.z."""
    squares = 0.0
    for i in range(0, z.shape[0], 2):
        w0, w1, w2, w3 = block(seed, chain, sweep, MOMENTUM, 0, i // 2)
        a, b = normal_pair(w0, w1, w2, w3)
        z[i] = a
        squares += a * a
        if i + 1 < z.shape[0]:
            z[i + 1] = b
            squares += b * b
    return squares


@jit
def leapfrog(model, x, z, force, beta, step, scale, n_steps):
    """Kick, drift, kick, `n_steps` times: x, z and the gradient `force` at x change in place."""
    for _ in range(n_steps):
        for i in range(x.shape[0]):
            z[i] -= 0.5 * step * scale[i] * force[i]
            x[i] += step * scale[i] * z[i]
        reduced_gradient(model, x, beta, force)
        for i in range(x.shape[0]):
            z[i] -= 0.5 * step * scale[i] * force[i]


@jit
def trajectories_of_chain(
    model, state, force, proposed, new_force, z, beta, step, scale, fewest, most, adjusted, chain,
    seed, sweep, n_sweeps,
):  # fmt: skip
    """Trajectories of one chain, state (dim,) in place; the other arrays (dim,) are room to work.

    Returns how many were taken, the sum of their energy errors (infinite where an energy is no
    number), how many diverged, and the sum of z.z at their ends.
    """
    dim = state.shape[0]
    taken, errors, diverged, squares = 0, 0.0, 0, 0.0
    u = reduced_energy(model, state, beta)
    reduced_gradient(model, state, beta, force)
    for t in range(sweep, sweep + n_sweeps):
        start = momenta(z, seed, chain, t)
        w0, w1, _, _ = block(seed, chain, t, MOMENTUM, 1, 0)
        n_steps = fewest + int(unit(w0, w1) * (most - fewest + 1))
        for i in range(dim):
            proposed[i] = state[i]
            new_force[i] = force[i]
        leapfrog(model, proposed, z, new_force, beta, step, scale, n_steps)
        new_u = reduced_energy(model, proposed, beta)
        end = 0.0
        for i in range(dim):
            end += z[i] * z[i]
        error = (new_u + 0.5 * end) - (u + 0.5 * start)
        if math.isnan(error):
            error = math.inf
        errors += error
        squares += end
        if error > DIVERGED:
            diverged += 1
        takes = not adjusted
        if adjusted:
            w0, w1, _, _ = block(seed, chain, t, ACCEPT, 0, 0)
            takes = math.log(1.0 - unit(w0, w1)) < -error
        if takes:
            for i in range(dim):
                state[i] = proposed[i]
                force[i] = new_force[i]
            u = new_u
            taken += 1
    return taken, errors, diverged, squares


@kernel
def trajectories(
    model, x, beta, steps, scales, fewest, most, adjusted, chains, seed, sweep, n_sweeps,
    taken, errors, diverged, squares,
):  # fmt: skip
    """Trajectories of compiled models, x (chain, dim) in place; scales (1 or chain, dim)."""
    dim = x.shape[1]
    force, proposed, new_force, z = np.empty(dim), np.empty(dim), np.empty(dim), np.empty(dim)
    for c in range(x.shape[0]):
        scale = scales[c if scales.shape[0] > 1 else 0]
        taken[c], errors[c], diverged[c], squares[c] = trajectories_of_chain(
            model, x[c], force, proposed, new_force, z, beta[c], steps[c], scale, fewest, most,
            adjusted, chains[c], seed, sweep, n_sweeps,
        )  # fmt: skip


def trajectories_in_batches(
    model: Any,
    x: np.ndarray,
    beta: np.ndarray,
    steps: np.ndarray,
    scales: np.ndarray,
    fewest: int,
    most: int,
    adjusted: bool,
    chains: np.ndarray,
    seed: Any,
    sweep: int,
    n_sweeps: int,
    taken: np.ndarray,
    errors: np.ndarray,
    diverged: np.ndarray,
    squares: np.ndarray,
) -> None:
    """The twin of `trajectories` for models that answer in batches, with the same numbers."""
    eps = steps[:, None] * scales
    u, force = model.reduced_energy(x, beta), model.reduced_gradient(x, beta)
    for t in range(sweep, sweep + n_sweeps):
        z = _rng.normals(seed, chains, t, MOMENTUM, 0, x.shape[1])
        start = (z**2).sum(axis=1)
        spread = most - fewest + 1
        n_steps = fewest + (_rng.units(seed, chains, t, MOMENTUM, 1) * spread).astype(int)
        proposed, new_force = x.copy(), force.copy()
        with np.errstate(all="ignore"):  # what leaves the energy's domain becomes a NaN
            for k in range(int(n_steps.max(initial=0))):
                going = n_steps > k
                z[going] -= 0.5 * eps[going] * new_force[going]
                proposed[going] += eps[going] * z[going]
                inside = going & np.isfinite(proposed).all(axis=1)
                new_force[going] = np.nan
                if inside.any():
                    new_force[inside] = model.reduced_gradient(proposed[inside], beta[inside])
                z[going] -= 0.5 * eps[going] * new_force[going]
            inside = np.isfinite(proposed).all(axis=1)
            new_u = np.full(u.shape, np.nan)
            if inside.any():
                new_u[inside] = model.reduced_energy(proposed[inside], beta[inside])
            end = (z**2).sum(axis=1)
            error = (new_u + 0.5 * end) - (u + 0.5 * start)
        error[np.isnan(error)] = np.inf
        takes = np.full(len(x), True)
        if adjusted:
            takes = np.log(1.0 - _rng.units(seed, chains, t, ACCEPT, 0)) < -error
        x[takes], force[takes], u[takes] = proposed[takes], new_force[takes], new_u[takes]
        taken += takes
        errors += error
        diverged += error > DIVERGED
        squares += end
