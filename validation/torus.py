"""The exact distribution of the magnetisation of a small Ising torus, by its transfer matrix.

Kaufman's solution knows no magnetisation. With a phase e^{i theta s} on every spin the trace of the
transfer matrix is the generating function of the distribution of M,

    Tr T(theta)^rows / Z = sum_M P(M) e^{i theta M},   T = exp(row and bonds to the next) * phase,

and N + 1 equally spaced theta invert it. Kramers and Wannier, Phys. Rev. 60, 252 (1941),
doi:10.1103/PhysRev.60.252. Cost: O(N 8^columns); 8 x 8 takes about a second.
"""

import functools

import numpy as np

from statmech_ml.spaces import Spins


@functools.cache
def magnetization_distribution(
    rows: int, columns: int, beta: float, coupling: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """The values of M, float64 (N + 1,), and their probabilities; sides >= 3, columns <= 10."""
    K, N = beta * coupling, rows * columns
    states = Spins(columns).from_index(np.arange(2**columns)).astype(np.float64)
    inside = K * (states * np.roll(states, 1, axis=1)).sum(axis=1)
    exponent = 0.5 * (inside[:, None] + inside) + K * (states @ states.T)
    T = np.exp(exponent - exponent.max())
    T /= np.linalg.eigvalsh(T)[-1]
    ups = (states.sum(axis=1) + columns) / 2.0
    theta = 2.0 * np.pi * np.arange(N + 1) / (N + 1)
    generating = np.empty(N + 1, complex)
    for k in range(N // 2 + 1):  # P(M) is real, so the other half are complex conjugates
        half = np.linalg.matrix_power(np.exp(1j * theta[k] * ups)[:, None] * T, rows // 2)
        rest = half if rows % 2 == 0 else half @ (np.exp(1j * theta[k] * ups)[:, None] * T)
        generating[k] = (half * rest.T).sum()
        generating[-k] = generating[k].conjugate()
    p = np.fft.fft(generating).real / (N + 1)
    return 2.0 * np.arange(N + 1) - N, p / p.sum()


def abs_magnetization(rows: int, columns: int, beta: float) -> float:
    """<|M|> / N."""
    M, p = magnetization_distribution(rows, columns, beta)
    return float(p @ np.abs(M)) / (rows * columns)


def binder(rows: int, columns: int, beta: float) -> float:
    """U4 = 1 - <M^4> / (3 <M^2>^2)."""
    M, p = magnetization_distribution(rows, columns, beta)
    return float(1.0 - (p @ M**4) / (3.0 * (p @ M**2) ** 2))
