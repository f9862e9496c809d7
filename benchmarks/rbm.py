"""Block Gibbs and training of RBMs: against torch, scikit-learn and rbms, and the floor of a sweep.

Floor of a sweep of 1000 chains at 784x500 (at 1024x64), single precision: two products of 784 (131)
million operations each, 1.28 (1.09) million random words and as many exponentials; the weights, 1.6
(0.3) MB, are read once for all chains. At 100 GFLOP/s a core and 2.3 words/ns that is 15.7 + 0.6
ms (2.6 + 0.5 ms) with a matrix product. Tables of the 16 sums of four rows of weights
(`samplers/_cpu/bit_layers.py`) leave a sixteenth of the operations, as additions and loads from the
first-level cache: 98 million of each a half sweep, 3.9 ms at one vector of 8 a cycle of 3 GHz.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from statmech_ml.models import BernoulliRBM
from statmech_ml.samplers import BlockGibbs
from statmech_ml.training import PersistentCD, train

from .timing import Result, compare

N_CHAINS, BATCH, RATE = 1000, 100, 0.01


def machine(n_visible: int, n_hidden: int) -> BernoulliRBM:
    """An RBM with small random weights."""
    rng = np.random.default_rng(1)
    weights = rng.normal(scale=0.05, size=(n_visible, n_hidden))
    return BernoulliRBM(np.zeros(n_visible), np.zeros(n_hidden), weights)


def images(n: int, n_visible: int) -> np.ndarray:
    """Independent bits, some nearly always off as at the edge of a picture, float32."""
    rng = np.random.default_rng(2)
    return (rng.random((n, n_visible)) < 0.6 * rng.random(n_visible) ** 2).astype(np.float32)


def block_gibbs(n_sweeps: int = 5) -> Iterator[Result]:
    """Sweeps of many chains in single precision, and the matrix products of a sweep alone."""
    for threads in (1, 2):
        for n_visible, n_hidden, target in ((784, 500, 2.5), (1024, 64, 4.0)):
            name = f"RBM block Gibbs, {n_visible}x{n_hidden}, {N_CHAINS} chains"
            rbm, sampler, beta = machine(n_visible, n_hidden), BlockGibbs(), np.ones(N_CHAINS)
            state = sampler.init(rbm, N_CHAINS, seed=1)
            peer, products = torch_sweep(rbm), matrix_products(rbm)
            units = N_CHAINS * (n_visible + n_hidden)
            operations = 4 * N_CHAINS * n_visible * n_hidden

            run = partial(sampler.advance, rbm, state, beta, n_sweeps)

            with using(threads):
                yield compare(
                    f"{name}, {threads} thread(s)",
                    "units/ns",
                    n_sweeps * units,
                    run,
                    "torch bernoulli(sigmoid(addmm))",
                    units,
                    peer,
                    target,
                )
                if threads == 1:
                    yield compare(
                        f"{name}, operations of its products",
                        "flop/ns",
                        n_sweeps * operations,
                        run,
                        "float32 gemm alone",
                        operations,
                        products,
                        1.0,
                    )


def torch_sweep(rbm: BernoulliRBM) -> Callable[[], Any]:
    """A sweep as it is written in torch."""
    import torch

    a, b, w = (
        torch.tensor(x.copy(), dtype=torch.float32)
        for x in (rbm.visible_bias, rbm.hidden_bias, rbm.weights)
    )
    v = torch.bernoulli(torch.full((N_CHAINS, rbm.n_visible), 0.5))

    def sweep() -> Any:
        h = torch.bernoulli(torch.sigmoid(torch.addmm(b, v, w)))
        return torch.bernoulli(torch.sigmoid(torch.addmm(a, h, w.T)))

    return sweep


def matrix_products(rbm: BernoulliRBM) -> Callable[[], Any]:
    """Both products of a sweep by numpy's BLAS, into arrays that are there."""
    w = rbm.weights.astype(np.float32)
    v, h = (np.ones((N_CHAINS, n), np.float32) for n in w.shape)
    to_v, to_h = np.empty_like(v), np.empty_like(h)

    def both() -> None:
        np.matmul(v, w, out=to_h)
        np.matmul(h, w.T, out=to_v)

    return both


def epochs(n_epochs: int = 2) -> Iterator[Result]:
    """PCD-1 with plain gradient descent: the same batches, chains, hidden units and rate.

    Epochs of many steps, beside which what a run does before its first does not count.
    """
    sizes = ((5000, 784, 500), (18000, 64, 64), (9000, 64, 256))
    for n, n_visible, n_hidden in sizes:
        x, name = images(n, n_visible), f"PCD-1 epoch, {n_visible}x{n_hidden}, batch {BATCH}"
        units = n_epochs * n * (n_visible + n_hidden)
        peers = (("scikit-learn", scikit_learn), ("rbms", rbms))
        with using(1):
            for peer, fit in peers:
                yield compare(
                    f"{name}, 1 thread(s)",
                    "units/ns",
                    units,
                    lambda x=x, m=n_hidden: ours(x, m, n_epochs),
                    peer,
                    units,
                    lambda x=x, m=n_hidden, fit=fit: fit(x, m, n_epochs),
                    1.3,
                    repeats=5,
                )


def ours(x: np.ndarray, n_hidden: int, n_epochs: int, n_chains: int = BATCH) -> None:
    """Train on x."""
    shell = machine(x.shape[1], n_hidden).thaw()
    method = PersistentCD(k=1, n_chains=n_chains)
    train(
        shell, x, method, epochs=n_epochs, rng=1, batch_size=BATCH, learning_rate=RATE, monitor=None
    )


def scikit_learn(x: np.ndarray, n_hidden: int, n_epochs: int) -> None:
    """In single precision, since x is."""
    from sklearn.neural_network import BernoulliRBM as Peer

    Peer(n_hidden, learning_rate=RATE, batch_size=BATCH, n_iter=n_epochs, random_state=1).fit(x)


def rbms(x: np.ndarray, n_hidden: int, n_epochs: int) -> None:
    """The loop of its `train` without files and logs, gradient not centred as ours is not."""
    import torch
    from rbms.bernoulli_bernoulli.classes import BBRBM
    from rbms.training.pcd import fit_batch_pcd

    data, weights = torch.from_numpy(x), torch.ones(len(x))
    w = torch.tensor(machine(x.shape[1], n_hidden).weights.copy(), dtype=torch.float32)
    peer = BBRBM(w, torch.zeros(w.shape[0]), torch.zeros(w.shape[1]))
    peer.init_grad()
    descent = torch.optim.SGD(peer.parameters(), lr=RATE, maximize=True)
    chains = peer.init_chains(BATCH)
    with torch.no_grad():
        for _ in range(n_epochs * (len(x) // BATCH)):
            chosen = torch.randperm(len(x))[:BATCH]
            descent.zero_grad(set_to_none=False)
            batch = data[chosen], weights[chosen]
            chains, _ = fit_batch_pcd(batch, chains, peer, 1, 1.0, centered=False)
            descent.step()


def scaling() -> Iterator[Result]:
    """What an epoch costs for four times the data and four times the chains; memory over epochs.

    A datum takes two products with the weights, a chain four.
    """
    few, many = images(2000, 784), images(8000, 784)

    def work(n: int, n_chains: int) -> float:
        return 2.0 * 784 * 500 * n * (2 + 4 * n_chains / BATCH)

    with using(1):
        for name, run, amount in (
            ("4 times the data", lambda: ours(many, 500, 1), work(8000, BATCH)),
            ("4 times the chains", lambda: ours(few, 500, 1, 4 * BATCH), work(2000, 4 * BATCH)),
        ):
            yield compare(
                f"PCD-1 epoch, 784x500, {name}",
                "flop/ns",
                amount,
                run,
                "2000 configurations, 100 chains",
                work(2000, BATCH),
                lambda: ours(few, 500, 1),
                0.9,
                repeats=3,
            )
    _peak_memory(1)  # compiles what is not in the cache yet
    short, long = (_peak_memory(n) for n in (2, 12))
    name = "PCD-1, 784x500, peak memory of 12 epochs"
    yield Result(name, "GB", long, "of 2 epochs", short, short / long, 0.98)


def _peak_memory(n_epochs: int) -> float:
    """Of a fresh process that trains, in GB."""
    program = (
        "import resource; from benchmarks import rbm\n"
        f"rbm.ours(rbm.images(2000, 784), 500, {n_epochs})\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return int(done.stdout) / 2**20


class using:
    """A number of threads of torch, numba and the BLAS, for a while."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def __enter__(self) -> None:
        import numba
        import torch
        from threadpoolctl import threadpool_limits

        self.before = torch.get_num_threads(), numba.get_num_threads()
        self.limits = threadpool_limits(self.threads)
        torch.set_num_threads(self.threads)
        numba.set_num_threads(min(self.threads, numba.config.NUMBA_NUM_THREADS))

    def __exit__(self, *_: Any) -> None:
        import numba
        import torch

        self.limits.restore_original_limits()
        torch.set_num_threads(self.before[0])
        numba.set_num_threads(self.before[1])
