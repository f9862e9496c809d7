"""Annealed importance sampling of a large RBM against rbms: same chains, levels and Gibbs sweeps.

Floor: a level needs two matrix products, v.W for both energies and the hidden units, h.W for the
visible ones: 4 x 100 x 784 x 500 = 157 million operations, 1.6 ms on a core that multiplies at 100
GFLOP/s in single precision. The 128,400 random words and exponentials of a level take a fifth of
that. rbms takes four products (two of them for energies) and two copies of the weights.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from statmech_ml.models import BernoulliRBM
from statmech_ml.partition import LogZ, Weights, ais

from .timing import Result, compare

N_VISIBLE, N_HIDDEN, N_CHAINS = 784, 500, 100


def machine() -> BernoulliRBM:
    """An RBM of the size that is trained on MNIST; hidden biases 0, as in the reference of rbms."""
    rng = np.random.default_rng(1)
    return BernoulliRBM(
        visible_bias=rng.normal(scale=0.5, size=N_VISIBLE),
        hidden_bias=np.zeros(N_HIDDEN),
        weights=rng.normal(scale=0.06, size=(N_VISIBLE, N_HIDDEN)),
    )


def twin(rbm: BernoulliRBM) -> Any:
    """The same machine for rbms, in single precision."""
    import torch
    from rbms.bernoulli_bernoulli.classes import BBRBM

    arrays = (rbm.weights, rbm.visible_bias, rbm.hidden_bias)
    return BBRBM(*(torch.tensor(a.copy(), dtype=torch.float32) for a in arrays))


def annealing(n_levels: int = 1000, repeats: int = 5) -> Iterator[Result]:
    """On one thread and on two of torch and of the BLAS; every level costs the same."""
    import torch
    from rbms.partition_function.ais import compute_partition_function_ais
    from threadpoolctl import threadpool_limits

    path, peer = Weights(machine()), twin(machine())
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with threadpool_limits(threads):
                yield compare(
                    f"AIS, 784x500 RBM, {N_CHAINS} chains, {threads} thread(s)",
                    "units/ns",
                    n_levels * N_CHAINS * (N_VISIBLE + N_HIDDEN),
                    lambda: ais(path, n_levels, N_CHAINS, rng=1),
                    "rbms",
                    # n + 1 lambdas are n levels
                    n_levels // 4 * N_CHAINS * (N_VISIBLE + N_HIDDEN),
                    lambda: compute_partition_function_ais(N_CHAINS, n_levels // 4 + 1, peer),
                    2.0,
                    repeats,
                )
    finally:
        torch.set_num_threads(before)


def log_z(n_levels: int = 10_000) -> tuple[LogZ, float, float]:
    """One full run of each: ours with its error, theirs without, and the ratio of seconds."""
    from rbms.partition_function.ais import compute_partition_function_ais

    start = time.perf_counter()
    ours = ais(Weights(machine()), n_levels, N_CHAINS, rng=1)
    middle = time.perf_counter()
    peer = twin(machine())
    theirs = compute_partition_function_ais(N_CHAINS, n_levels + 1, peer)
    return ours, theirs, (time.perf_counter() - middle) / (middle - start)


if __name__ == "__main__":
    result, peer_value, ratio = log_z()
    print(f"{result}; rbms {peer_value:.3f}, {ratio:.1f} times the seconds")
