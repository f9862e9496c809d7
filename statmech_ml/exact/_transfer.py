"""The frontier of the transfer matrix: one of its spins is exchanged for the next one at a time.

psi[..., s] is the weight of everything summed so far, given the spins s of the frontier, one bit
each (bit c is 1 where the spin of column c is up).
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from statmech_ml._jit import kernel
from statmech_ml.exact._strip import Strip

Array = NDArray[np.float64]


@kernel
def exchange(psi, bit, like, unlike):
    """psi'(s') = sum_s psi(s) (like where s' = s, else unlike), in place; psi (levels, states)."""
    levels, states = psi.shape
    step = 1 << bit
    for level in range(levels):
        row = psi[level]
        for base in range(0, states, 2 * step):
            for k in range(base, base + step):
                down, up = row[k], row[k + step]
                row[k] = like * down + unlike * up
                row[k + step] = unlike * down + like * up


@kernel
def exchange_moments(psi, mean, variance, bit, like, unlike, coupling):
    """`exchange`, with mean and variance of the energy so far given the frontier.

    Mixtures add: of two parts with weights p + q = 1 the mean is p m + q m', the variance
    p v + q v' + p q (m - m')^2, a sum of positive terms.
    """
    levels, states = psi.shape
    step = 1 << bit
    for level in range(levels):
        for base in range(0, states, 2 * step):
            for k in range(base, base + step):
                down, up = psi[level, k], psi[level, k + step]
                mean_down, mean_up = mean[level, k], mean[level, k + step]
                v_down, v_up = variance[level, k], variance[level, k + step]
                for turn in range(2):
                    target = k + turn * step
                    same, other = (up, down) if turn else (down, up)
                    m_same = (mean_up if turn else mean_down) - coupling
                    m_other = (mean_down if turn else mean_up) + coupling
                    v_same, v_other = (v_up, v_down) if turn else (v_down, v_up)
                    total = like * same + unlike * other
                    p = like * same / total if total > 0.0 else 1.0
                    q = unlike * other / total if total > 0.0 else 0.0
                    gap = m_same - m_other
                    psi[level, target] = total
                    mean[level, target] = p * m_same + q * m_other
                    variance[level, target] = p * v_same + q * v_other + p * q * gap * gap


@kernel
def row_energies(energies, across, field):
    """Energy of one row for each of its states; the last bond across joins last and first."""
    width = field.shape[0]
    for state in range(energies.shape[0]):
        total = 0.0
        for c in range(width):
            spin = 2.0 * ((state >> c) & 1) - 1.0
            after = 2.0 * ((state >> ((c + 1) % width)) & 1) - 1.0
            total -= field[c] * spin + across[c] * spin * after
        energies[state] = total


@kernel
def backtrack(before, index, K, uniforms):
    """Draw the spins of the row before, given those of the row after, in place in `index`.

    before[c] is psi as it was when the spin of column c was exchanged, so the columns are
    undone last to first. before (width, states), index int64 (n,), uniforms (width, n).
    """
    width = K.shape[0]
    for draw in range(index.shape[0]):
        state = index[draw]
        for c in range(width - 1, -1, -1):
            spin = 2.0 * ((state >> c) & 1) - 1.0
            down = state & ~(1 << c)
            up = down | (1 << c)
            # Both weights over the larger exponential, which cannot overflow.
            weight_up = before[c, up] * math.exp(K[c] * spin - abs(K[c]))
            weight_down = before[c, down] * math.exp(-K[c] * spin - abs(K[c]))
            is_up = uniforms[c, draw] * (weight_up + weight_down) < weight_up
            state = up if is_up else down
        index[draw] = state


# --- rows -----------------------------------------------------------------------------------------


def first_rows(layout: Strip, at_a_time: int) -> Iterator[NDArray[np.int64] | None]:
    """States of the first row to be carried together; None on an open strip: all are summed."""
    if not layout.closed:
        yield None
        return
    states = np.arange(2**layout.width)
    for start in range(0, len(states), at_a_time):
        yield states[start : start + at_a_time]


def start(layout: Strip, first: NDArray[np.int64] | None, levels: int) -> Array:
    """psi before the first row has its own weights, (first rows, levels, states)."""
    states = 2**layout.width
    if first is None:
        psi = np.zeros((1, levels, states))
        psi[0, 0] = 1.0
    else:
        psi = np.zeros((len(first), levels, states))
        psi[np.arange(len(first)), 0, first] = 1.0
    return psi


def factors(K: float) -> tuple[float, float]:
    """Weights of equal and unequal spins over the larger one."""
    return math.exp(K - abs(K)), math.exp(-K - abs(K))


def dress(psi: Array, log_scale: Array, energies: Array, beta: float) -> None:
    """Multiply by the Boltzmann factors of a row and scale the largest weight to 1, in place."""
    with np.errstate(divide="ignore"):  # the first row may be fixed: log 0
        np.log(psi, out=psi)
    psi -= beta * energies
    top = psi.max(axis=(1, 2), keepdims=True)
    log_scale += top[:, 0, 0]
    np.exp(psi - top, out=psi)


def _count_up(psi: Array, width: int) -> None:
    """Move weights from level m to m + (spins up in the row), in place."""
    ups = np.bitwise_count(np.arange(psi.shape[2]))
    for up in range(1, width + 1):
        which = np.flatnonzero(ups == up)
        psi[:, up:, which] = psi[:, :-up, which]
        psi[:, :up, which] = 0.0


def sum_rows(
    layout: Strip, beta: float, first: NDArray[np.int64] | None = None, levels: int = 1
) -> tuple[Array, Array]:
    """psi (first rows, levels, states) behind the last row, and the log of its scale.

    On a closed strip the bonds back to the first row are taken too, and only the states that agree
    with the first row are left. Levels count spins up where there is more than one.
    """
    if layout.closed and first is None:
        first = np.arange(2**layout.width)
    psi = start(layout, first, levels)
    log_scale = np.zeros(len(psi))
    energies = np.empty(psi.shape[2])
    for r in range(layout.length):
        if r:
            exchange_row(psi, log_scale, beta * layout.along[r - 1])
        row_energies(energies, layout.across[r], layout.field[r])
        dress(psi, log_scale, energies, beta)
        if levels > 1:
            _count_up(psi, layout.width)
    if first is not None:
        exchange_row(psi, log_scale, beta * layout.along[-1])
        closing = np.zeros_like(psi)
        here = np.arange(len(first))
        closing[here, :, first] = psi[here, :, first]
        psi = closing
    return psi, log_scale


def exchange_row(psi: Array, log_scale: Array, K: Array) -> None:
    flat = psi.reshape(-1, psi.shape[-1])
    for c, each in enumerate(K.tolist()):
        exchange(flat, c, *factors(each))
    log_scale += np.abs(K).sum()
