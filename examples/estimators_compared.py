"""Error against cost of five estimators of log Z, on an RBM and on the Ising model at T_c.

    python examples/estimators_compared.py [--full] [--out DIRECTORY] [--train]

Annealed importance sampling, replica exchange with BAR and with MBAR, thermodynamic integration and
population annealing, at equal numbers of sweeps, against exact values: the sum over 2^20 hidden
states of an RBM trained on 8 x 8 digits, and Kaufman's solution of the 16 x 16 torus. After
O. Krause, A. Fischer and C. Igel, Artif. Intell. 278, 103195 (2020),
doi:10.1016/j.artint.2019.103195, who did it for RBMs.

Full symbols are errors that were made, open ones those that were stated; honest estimators have
both in the same place. The weights are in data/; --train makes them again (needs scikit-learn).
"""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console

from statmech_ml import lattices
from statmech_ml.exact import kaufman, onsager
from statmech_ml.models import BernoulliRBM, Ising
from statmech_ml.partition import Comparison, Tempering, Weights, compare, exact_sum
from statmech_ml.samplers import BlockGibbs, HeatBath, State

DATA = Path(__file__).parent / "data" / "digits_rbm.npz"


def train(n_hidden: int = 20, n_steps: int = 6000, seed: int = 1) -> BernoulliRBM:
    """Persistent contrastive divergence on scikit-learn's digits, half of the grey levels black."""
    from sklearn.datasets import load_digits

    data = (load_digits().data >= 8).astype(np.int8)
    rng = np.random.default_rng(seed)
    n_chains, n_batch = 500, 200
    share = np.clip(data.mean(axis=0), 0.01, 0.99)
    a, b = np.log(share / (1.0 - share)), np.zeros(n_hidden)
    W = 0.01 * rng.normal(size=(data.shape[1], n_hidden))
    start = data[rng.integers(0, len(data), n_chains)]
    state = State(start, seed, np.arange(n_chains, dtype=np.uint32), 0)
    for step in range(n_steps):
        rate = 0.1 * (1.0 - step / n_steps)
        model = BernoulliRBM(a, b, W)
        state, _ = BlockGibbs().advance(model, state, np.ones(n_chains), 2)
        batch = data[rng.integers(0, len(data), n_batch)]
        gradients = []
        for v in (batch, state.x):
            h = 1.0 / (1.0 + np.exp(-model.hidden_logits(v, 1.0)))
            gradients.append((v.mean(axis=0), h.mean(axis=0), v.T @ h / len(v)))
        da, db, dW = (up - down for up, down in zip(*gradients, strict=True))
        a, b, W = a + rate * da, b + rate * db, W + rate * dW
    model = BernoulliRBM(a, b, W)
    likelihood = -model.free_energy(data).mean() - exact_sum(model).value
    print(f"log-likelihood per image after {n_steps} steps: {likelihood:.2f} nats")
    np.savez_compressed(DATA, visible_bias=a.round(4), hidden_bias=b.round(4), weights=W.round(4))
    return model


def methods(n_levels: int, n_chains: int, budgets: list[int]) -> dict:
    """The five estimators; a budget is the number of sweeps per chain and level of the ladder."""
    tempered = [
        {"n_levels": n_levels, "n_chains": n_chains, "n_draws": n, "burn_in": max(4, n // 5)}
        for n in budgets
    ]
    sweeps = [n_levels * n_chains * n for n in budgets]
    exchanging = [settings | {"exchange": True} for settings in tempered]
    return {
        "AIS": ("ais", [{"n_levels": s // 128, "n_chains": 128} for s in sweeps]),
        "PT + BAR": ("bar", exchanging),
        "PT + MBAR": ("mbar", exchanging),
        "TI": ("thermodynamic_integration", tempered),
        "population annealing": (
            "population_annealing",
            [{"n_levels": s // 1024, "n_chains": 1024} for s in sweeps],
        ),
    }


def main() -> None:
    """Two systems, two tables, two figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="more repeats and larger budgets")
    parser.add_argument("--out", type=Path, default=Path("."), help="where the figures go")
    parser.add_argument("--train", action="store_true", help="train the RBM again")
    arguments = parser.parse_args()
    budgets, n_repeats = ([40, 160, 640, 2560], 12) if arguments.full else ([40, 160], 3)

    if arguments.train:
        rbm = train()
    else:
        with np.load(DATA) as saved:
            rbm = BernoulliRBM(**saved)
    size, beta = 16, onsager.critical_beta()
    torus = Ising(lattices.square(size, size))
    systems = {
        "rbm": (
            f"RBM of 8 x 8 digits, {rbm.n_hidden} hidden units",
            Weights(rbm, sampler=BlockGibbs()),
            exact_sum(rbm).value,
        ),
        "ising": (
            f"Ising {size} x {size} at T_c",
            Tempering(torus, beta, sampler=HeatBath()),
            float(kaufman.log_z(size, size, beta)),
        ),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    for seed, (name, (title, path, exact)) in enumerate(systems.items()):
        found: Comparison = compare(
            path,
            methods(n_levels=16, n_chains=16, budgets=budgets),
            exact=exact,
            rng=seed,
            n_repeats=n_repeats,
        )
        print(f"\n{title}: log Z = {exact:.6f}")
        Console(width=120).print(found.table())
        figure = found.figure("sweeps")
        figure.suptitle(title)
        figure.savefig(arguments.out / f"estimators_{name}.png", dpi=150)
        print(f"drawn in {arguments.out / f'estimators_{name}.png'}")


if __name__ == "__main__":
    main()
