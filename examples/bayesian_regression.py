"""SGLD on a Bayesian regression whose posterior is Gaussian: what minibatches and steps cost.

    python examples/bayesian_regression.py [--out DIRECTORY]

    y_n = theta_0 + theta_1 x_n + theta_2 (3 x_n^2 - 1) / 2 + noise,    theta ~ N(0, 4)

The posterior is N(m, A^-1). SGLD with minibatches of b out of n rows has the right mean, and a
covariance that is exactly known too (`exact.langevin.sgld_covariance`): the step and the noise of
the gradients make it wider. As a temperature, tr(A C) / dim = 1 + eta tr(A) / (2 dim) + eta/2 (the
gradient noise) + ..., and SGLD reports the last term while it runs. A schedule of falling steps
removes both.

The table compares mean and covariance with the exact ones; the figure shows the posterior of two
coefficients beside what SGLD samples, and the temperature against the step.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.polynomial import legendre

from statmech_ml.exact import langevin
from statmech_ml.models import BayesianLinearRegression
from statmech_ml.samplers import SGLD, PolynomialDecay

N_DATA, NOISE, PRIOR = 400, 0.8, 2.0
BATCHES = (5, 20, None)
SHARES = (0.01, 0.02, 0.04, 0.08)  # of the longest stable step, 2 over the largest curvature
N_CHAINS, N_SWEEPS = 1000, 250


def data(seed: int = 3) -> BayesianLinearRegression:
    """A parabola with noise, more of it at the right end."""
    rng = np.random.default_rng(seed)
    x = rng.beta(2.0, 1.2, N_DATA) * 2.0 - 1.0
    X = legendre.legvander(x, 2)
    y = X @ [0.5, -1.0, 0.8] + NOISE * rng.normal(size=N_DATA)
    return BayesianLinearRegression(X, y, noise=NOISE, prior_scale=PRIOR)


def run(model: BayesianLinearRegression, sampler: SGLD, n_sweeps: int, seed: int):
    """Final states (chain, dim) of chains from the posterior, and the reported rise of T."""
    start = model.exact().draws(seed, np.arange(N_CHAINS, dtype=np.uint32))
    state = sampler.init(model, N_CHAINS, seed, start)
    state, info = sampler.advance(model, state, np.ones(N_CHAINS), n_sweeps)
    return state.x, info.get("temperature_rise", np.zeros(N_CHAINS)).mean()


def temperature(model: BayesianLinearRegression, x: np.ndarray) -> tuple[float, float]:
    """(x - m).A.(x - m) / dim over the chains, 1 for exact draws, and its standard error."""
    away = x - model.mean
    each = np.einsum("ci,ij,cj->c", away, model.precision, away) / away.shape[1]
    return float(each.mean()), float(each.std() / np.sqrt(len(each)))


def predicted(model: BayesianLinearRegression, step: float, batch: int | None) -> np.ndarray:
    """The exact covariance that SGLD has in place of A^-1."""
    return langevin.sgld_covariance(step, batch, model.X, model.y, NOISE, PRIOR)


def table(name: str, model: BayesianLinearRegression, x: np.ndarray, law: np.ndarray) -> None:
    """Mean and standard deviations beside the posterior's and those that `law` predicts."""
    exact, n = np.linalg.inv(model.precision), len(x)
    print(f"{name}\n  {'':8} {'posterior':>20} {'sampled':>20} {'predicted sd':>13}  z mean   z sd")
    for i in range(len(exact)):
        mean, sd, wide = x[:, i].mean(), x[:, i].std(), np.sqrt(law[i, i])
        squares = (x[:, i] - model.mean[i]) ** 2
        z_mean = (mean - model.mean[i]) / (sd / np.sqrt(n))
        z_sd = (squares.mean() - law[i, i]) / (squares.std() / np.sqrt(n))
        print(
            f"  theta_{i}  {model.mean[i]:+10.4f} +- {np.sqrt(exact[i, i]):.4f} "
            f"{mean:+10.4f} +- {sd:.4f} {wide:>13.4f}  {z_mean:+6.1f} {z_sd:+6.1f}"
        )


def ellipse(mean: np.ndarray, covariance: np.ndarray, n_sigma: float) -> np.ndarray:
    """Points (2, n) of the contour n_sigma standard deviations from the mean."""
    angle = np.linspace(0.0, 2.0 * np.pi, 200)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    return mean[:, None] + n_sigma * np.linalg.cholesky(covariance) @ circle


def draw(path: Path, model, shown, law, curves, points, decayed) -> None:
    """The posterior of two coefficients, and temperatures against the step."""
    figure = Figure(figsize=(10.6, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    exact = np.linalg.inv(model.precision)
    pair = np.ix_([1, 2], [1, 2])
    left.plot(shown[:, 1], shown[:, 2], ".", ms=3, alpha=0.4, color="tab:blue", mec="none")
    for n_sigma in (1, 2):
        outer = {"color": "tab:blue", "lw": 1.6, "ls": "--"}
        left.plot(*ellipse(model.mean[1:], law[pair], n_sigma), **outer)
        left.plot(*ellipse(model.mean[1:], exact[pair], n_sigma), color="k", lw=1.6)
    left.plot([], [], color="k", lw=1.6, label="posterior, 1 and 2 sigma")
    left.plot([], [], **outer, label="predicted law of SGLD")
    left.plot([], [], ".", color="tab:blue", label=f"SGLD, batches of {BATCHES[0]}")
    left.set(xlabel="$\\theta_1$", ylabel="$\\theta_2$")
    left.set_title("longest step: right mean, too wide", fontsize=11)
    left.legend(frameon=False, fontsize=9, loc="upper left")
    left.margins(y=0.16)
    for batch, colour in zip(BATCHES, ("tab:blue", "tab:green", "tab:orange"), strict=True):
        name = "full gradient" if batch is None else f"batches of {batch}"
        right.plot(*curves[batch], color=colour, lw=1.4, label=f"{name}, exact")
        steps, found, errors = np.array(points[batch]).T
        right.errorbar(steps, found, errors, fmt="o", ms=5, color=colour, capsize=2)
    right.axhline(1.0, color="k", lw=0.8)
    step, found, error = decayed
    right.errorbar(
        [step], [found], [error], fmt="s", ms=6, mfc="none", color="tab:red", capsize=2,
        label=f"batches of {BATCHES[0]}, steps fell to here",
    )  # fmt: skip
    right.set(xlabel="step $\\eta$", ylabel="temperature  tr$(AC)$ / dim", xscale="log")
    right.set_title("gradient noise heats by $\\eta\\,$Var$[g]/2$", fontsize=11)
    right.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)
    print(f"figure: {path}")


def main() -> None:
    """Mean, covariance and temperature of SGLD against exact ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("."), help="where the figure goes")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    model = data()
    dim, longest = len(model.mean), 2.0 / np.linalg.eigvalsh(model.precision)[-1]
    print(f"{N_DATA} data, {dim} coefficients, {N_CHAINS} chains, steps below {longest:.3g}")
    print(" batch      step      temperature    exact      z  reported rise")
    points: dict[int | None, list] = {batch: [] for batch in BATCHES}
    curves = {}
    for batch in BATCHES:
        for k, share in enumerate(SHARES):
            step = share * longest
            x, rise = run(model, SGLD(step, batch), N_SWEEPS, seed=100 * (batch or 0) + k)
            found, error = temperature(model, x)
            exact = np.trace(model.precision @ predicted(model, step, batch)) / dim
            points[batch].append((step, found, error))
            print(
                f"{batch or 'all':>6} {step:>9.2e} {found:>9.3f} +- {error:.3f} {exact:>8.3f} "
                f"{(found - exact) / error:>+6.1f} {rise:>14.3f}"
            )
            if batch == BATCHES[0]:
                shown = x
        steps = np.geomspace(0.3 * SHARES[0], SHARES[-1], 40) * longest
        laws = [np.trace(model.precision @ predicted(model, s, batch)) / dim for s in steps]
        curves[batch] = (steps, laws)
    longest_law = predicted(model, SHARES[-1] * longest, BATCHES[0])
    print()
    table(f"batches of {BATCHES[0]}, step {SHARES[-1] * longest:.2e}", model, shown, longest_law)

    # Steps that fall sixteenfold, the last of them long enough for chains to forget the first.
    schedule = PolynomialDecay(SHARES[-1] * longest * 10.0**0.6, b=10.0, gamma=0.6)
    n_sweeps = 1000
    x, _ = run(model, SGLD(batch_size=BATCHES[0], schedule=schedule), n_sweeps, seed=7)
    last = schedule.step(n_sweeps)
    decayed = (last, *temperature(model, x))
    print()
    table(
        f"steps falling to {last:.2e}, temperature {decayed[1]:.3f} +- {decayed[2]:.3f}; predicted "
        "for the last step",
        model, x, predicted(model, last, BATCHES[0]),
    )  # fmt: skip
    draw(out / "bayesian_regression.png", model, shown, longest_law, curves, points, decayed)


if __name__ == "__main__":
    main()
