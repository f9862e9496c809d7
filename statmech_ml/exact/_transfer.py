"""Kernels of the transfer matrix: one spin of the frontier is exchanged for the next one.

psi[..., s] is the weight of everything summed so far, given the spins s of the frontier, one bit
each (bit c is 1 where the spin of column c is up).
"""

import math

from statmech_ml._jit import kernel


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
