"""The MBAR equations, solved by Newton's method on chunks of samples.

Equation 11 of Shirts and Chodera (2008) holds where a convex function of f is least:

    log D_n = log sum_k N_k exp(f_k - u_kn),      p_kn = N_k exp(f_k - u_kn) / D_n
    phi(f) = sum_n log D_n - sum_k N_k f_k
    gradient  sum_n p_kn - N_k,      Hessian  diag(sum_n p_kn) - p p^T

p_kn is the probability that sample n, found in the mixture of all samples, came from state k. One
pass over the chunks gives function, gradient and Hessian; it costs K N exponentials and a matrix
product, and memory for a chunk on each thread. The function does not change when all f_k shift, and
this direction is left out of every step.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .._jit import thread_count
from ..errors import InvalidInput, StatmechError

# Entries of u_kn in a chunk: 1 MiB, which stays in the cache of a core.
CHUNK = 2**17
# A start from this many samples is within a few errors of the solution; Newton does the rest.
_PILOT = 5000
_TOLERANCE = 1e-10  # nats, of the last step
_MAX_PASSES = 200
_LOOK = 256  # samples of each state that the start looks at
# Of the matrix of overlaps, 1 less its second largest eigenvalue: below this, rounding has taken
# the place of what connects the states.
_MIN_GAP = 1e-11

Part = TypeVar("Part")


class Solution(NamedTuple):
    """f (K,) up to a shift; log_d (N,); p p^T (K, K); number of passes over all samples."""

    f: np.ndarray
    log_d: np.ndarray
    gram: np.ndarray
    passes: int


class Table:
    """u_kn in chunks, which threads work on and whose results come back in order."""

    def __init__(
        self, u_kn: Any, chunk_size: int | None = None, rows: np.ndarray | None = None
    ) -> None:
        self.u_kn, self._rows = u_kn, rows
        self.n_states, self.n_samples = u_kn.shape
        if rows is not None:
            self.n_states = len(rows)
        self.step = chunk_size or max(64, CHUNK // self.n_states)

    def chunk(self, a: int, b: int) -> np.ndarray:
        """u_kn[rows, a:b] as float64."""
        u = np.asarray(self.u_kn[:, a:b], np.float64)
        return u if self._rows is None else u[self._rows]

    def map(self, f: Callable[[int, int, np.ndarray], Part]) -> Iterator[Part]:
        """f(a, b, u_kn[:, a:b]) of all chunks, in order whatever the number of threads."""
        edges = [
            (a, min(a + self.step, self.n_samples)) for a in range(0, self.n_samples, self.step)
        ]
        threads = min(thread_count(), len(edges))
        if threads == 1:
            yield from (f(a, b, self.chunk(a, b)) for a, b in edges)
            return
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(lambda edge: f(edge[0], edge[1], self.chunk(*edge)), edges)


def memberships(u: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p_kn (K, n) and log D_n (n,) of one chunk; bias (K,) is log N_k + f_k."""
    p = bias[:, None] - u
    top = p.max(axis=0)
    p -= top
    np.exp(p, out=p)
    total = p.sum(axis=0)
    p *= 1.0 / total
    return p, np.log(total) + top


def check_energies(table: Table, sampled: np.ndarray) -> None:
    """InvalidInput for NaN, -inf, and samples that no sampled state allows."""

    def check(a: int, b: int, u: np.ndarray) -> tuple[bool, int]:
        if not float(u.min()) > -math.inf:  # a minimum is NaN where an entry is
            return True, 0
        if float(u.max()) < math.inf:
            return False, 0
        return False, int(np.isposinf(u[sampled]).all(axis=0).sum())

    found = list(table.map(check))
    if any(bad for bad, _ in found):
        raise InvalidInput(
            "u_kn holds NaN or -inf. Reduced energies are numbers, or +inf where a state forbids "
            "a configuration; find the samples whose energy could not be computed."
        )
    lost = sum(count for _, count in found)
    if lost:
        raise InvalidInput(
            f"{lost} of {table.n_samples} samples have an infinite energy in every state that was "
            "sampled, so none of these states can have given them. Look at the order of rows and "
            "columns: u_kn[k, n] is the energy of sample n in state k."
        )


def solve(table: Table, n_k: np.ndarray) -> Solution:
    """f of the states, all of which are sampled (n_k > 0).

    Raises StatmechError when the states do not overlap enough to be solved for, or when Newton's
    method does not arrive.
    """
    f = _trapezoid(table, n_k)
    stride = table.n_samples // _PILOT
    if stride >= 4:
        pilot, counts = _every(table, n_k, stride)
        if counts.all():
            # All samples together may still connect what a few of them do not.
            with contextlib.suppress(StatmechError):
                f = _newton(pilot, counts, f).f
    return _newton(table, n_k, f)


def pseudo_inverse(gram: np.ndarray, n_k: np.ndarray) -> np.ndarray:
    """H^+ (K, K) at the solution, the shift of all f left out."""
    root = np.sqrt(n_k)
    curvature, modes = _modes(gram.sum(axis=1), gram, root)
    scaled = modes / root[:, None]
    return np.asarray((scaled / curvature) @ scaled.T)


def _modes(sums: np.ndarray, gram: np.ndarray, root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (ascending) and eigenvectors of the Hessian scaled by N_k.

    They are 1 less those of the overlap matrix. That of the shift of all f, zero, is made -1, comes
    first and is left out.
    """
    hessian = (np.diag(sums) - gram) / np.outer(root, root)
    shift = np.outer(root, root) / (root @ root)
    curvature, modes = np.linalg.eigh(hessian - shift)
    return curvature[1:], modes[:, 1:]


def _newton(table: Table, n_k: np.ndarray, f: np.ndarray) -> Solution:
    """Newton's method, damped (Levenberg and Marquardt) while it does not go downhill."""
    root = np.sqrt(n_k)
    now = _evaluate(table, n_k, f)
    passes, damping, last = 1, 0.0, math.inf
    while passes < _MAX_PASSES:
        curvature, modes = _modes(now.sums, now.gram, root)
        slope = modes.T @ ((now.sums - n_k) / root)
        flat = len(curvature) > 0 and float(curvature[0]) < _MIN_GAP
        if flat and float(np.abs(now.sums / n_k - 1.0).max()) < 1e-6:
            raise StatmechError(_disconnected(modes[:, 0] / root))
        if flat:
            damping = max(damping, 1e-3)
        elif not damping:
            size = float(np.abs(modes @ (slope / curvature) / root).max())
            if size <= _TOLERANCE or (size < 1e-6 and size > 0.5 * last):  # the last: rounding
                return Solution(f, now.log_d, now.gram, passes)
            last = size
        while passes < _MAX_PASSES:
            trial_f = f - modes @ (slope / (curvature + damping)) / root
            trial = _evaluate(table, n_k, trial_f)
            passes += 1
            if trial.value <= now.value + 1e-12 * abs(now.value) + 1e-9:
                break
            damping = max(10.0 * damping, 1e-3)
        f, now = trial_f, trial
        damping = damping / 10.0 if damping > 1e-8 else 0.0
    raise StatmechError(
        f"MBAR did not converge in {passes} passes: the last step was {last:.2g}. The states "
        "hardly overlap. Put more states between those that are far apart, or sample more."
    )


class _Evaluation(NamedTuple):
    """phi(f); log D_n (N,); sum_n p_kn (K,); p p^T (K, K)."""

    value: float
    log_d: np.ndarray
    sums: np.ndarray
    gram: np.ndarray


def _evaluate(table: Table, n_k: np.ndarray, f: np.ndarray) -> _Evaluation:
    bias = np.log(n_k) + f
    log_d = np.empty(table.n_samples)

    def part(a: int, b: int, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        p, log_d[a:b] = memberships(u, bias)
        return p.sum(axis=1), p @ p.T

    sums, gram = np.zeros(len(f)), np.zeros((len(f), len(f)))
    for part_sums, part_gram in table.map(part):
        sums += part_sums
        gram += part_gram
    return _Evaluation(float(log_d.sum() - n_k @ f), log_d, sums, gram)


def _trapezoid(table: Table, n_k: np.ndarray) -> np.ndarray:
    """f by the mean energy differences of states that follow one another: a start."""
    first = np.concatenate([[0], np.cumsum(n_k)]).astype(int)
    steps = np.zeros(len(n_k))
    before = np.empty((0, 0))
    for k in range(len(n_k)):
        u = table.chunk(first[k], min(first[k] + _LOOK, first[k + 1]))
        if k:
            both = np.concatenate([before[k] - before[k - 1], u[k] - u[k - 1]])
            both = both[np.isfinite(both)]
            steps[k] = both.mean() if len(both) else 0.0
        before = u
    return np.cumsum(steps)


def _every(table: Table, n_k: np.ndarray, stride: int) -> tuple[Table, np.ndarray]:
    """The table of every `stride`-th sample, in memory, and the samples of each state in it."""

    def part(a: int, b: int, u: np.ndarray) -> np.ndarray:
        return u[:, -a % stride :: stride].copy()

    u = np.concatenate(list(table.map(part)), axis=1)
    ends = -(-np.cumsum(n_k).astype(int) // stride)
    return Table(u), np.diff(ends, prepend=0).astype(np.float64)


def _disconnected(mode: np.ndarray) -> str:
    groups = [np.flatnonzero(mode < 0.0).tolist(), np.flatnonzero(mode >= 0.0).tolist()]
    return (
        f"The sampled states fall into parts that share no samples: {groups[0]} and {groups[1]} "
        "(numbered among the states with n_k > 0), so the data do not tell how their f differ. "
        "Sample states in between: more levels, or more temperatures where the energies jump."
    )
