"""Tempered PCD: the ladder, its swaps, and two modes that plain chains cannot go between."""

import numpy as np
import pytest
import torch
from statistical import chi_square
from training_paths import shell_of, two_modes

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import enumeration
from statmech_ml.models import RBM
from statmech_ml.training import Monitor, PersistentCD, TemperedPCD, train

QUIET = Monitor(log_likelihood=None, pseudo_likelihood=False, equilibrium=False)


@pytest.mark.parametrize("kind", ["bits bits", "spins spins", "potts", "boltzmann"])
def test_ladder_of_finite_machines_starts_at_zero(kind):
    assert TemperedPCD(n_betas=5).ladder(shell_of(kind)) == pytest.approx([0, 0.25, 0.5, 0.75, 1])


@pytest.mark.parametrize("kind", ["gaussian", "bits normal"])
def test_ladder_of_real_units_starts_above(kind):
    shell = shell_of(kind)
    assert TemperedPCD(n_betas=4).ladder(shell) == pytest.approx([0.25, 0.5, 0.75, 1])
    TemperedPCD(n_betas=4).check(shell, two_modes(shell))
    with pytest.raises(InvalidInput, match="Start the ladder above 0"):
        TemperedPCD(betas=(0.0, 1.0)).check(shell, two_modes(shell))


def least_p_value(method, seed, kind="spins spins"):
    """Of the states of every rung after steps at fixed parameters, by chi-square."""
    shell = shell_of(kind, scale=1.2)
    data = two_modes(shell)
    carried = method.init(shell, data, seed)
    for step in range(15):
        carried = method.gradient(shell, shell.tensor(data[:4]), carried, seed, step).carried
    model = shell.freeze()
    return min(
        chi_square(
            np.bincount(model.space.index(carried["x"][:, k]), minlength=32),
            enumeration.distribution(model, beta),
        )
        for k, beta in enumerate(method.ladder(shell))
    )


def test_rungs_keep_their_laws(seed):
    assert least_p_value(TemperedPCD(n_chains=3000, betas=(0.2, 0.6, 1.0)), seed) > 1e-6


def test_wrong_betas_are_refuted(seed):
    """The chains of a ladder that is a tenth too hot, held against the right one."""

    class TooHot(TemperedPCD):
        def init(self, shell, data, seed):
            carried = super().init(shell, data, seed)
            return carried | {"betas": 0.9 * carried["betas"]}

    assert least_p_value(TooHot(n_chains=3000, betas=(0.2, 0.6, 1.0)), seed) < 1e-6


def test_gradient_is_that_of_the_coldest_chains():
    shell = shell_of("bits bits")
    data = two_modes(shell)
    method = TemperedPCD(n_chains=20, n_betas=3)
    batch = shell.tensor(data[:50])
    step = method.gradient(shell, batch, method.init(shell, data, 4), 4, 0)
    positive, negative = shell.phase(batch), shell.phase(shell.tensor(step.carried["x"][:, -1]))
    for name, gradient in step.gradients.items():
        assert torch.allclose(gradient, positive[name] - negative[name])
    assert 0.0 < step.info["least_swap_acceptance"] <= step.info["swap_acceptance"] <= 1.0
    x = method.negatives(shell, data, step.carried, 4, 1)
    assert np.array_equal(x, step.carried["x"][:, -1])


def test_history_and_resume_bit_for_bit(tmp_path):
    data = two_modes(shell_of("bits bits"))
    whole, stopped = shell_of("bits bits"), shell_of("bits bits")
    method = TemperedPCD(k=2, n_chains=20, n_betas=3)
    settings = {"rng": 3, "batch_size": 100, "learning_rate": 0.1, "monitor": QUIET}
    history = train(whole, data, method, epochs=4, **settings)
    assert 0.0 < history["least_swap_acceptance"][-1] < 1.0
    file = tmp_path / "run.safetensors"
    train(stopped, data, method, epochs=2, checkpoint=file, **settings)
    train(stopped, data, method, epochs=4, checkpoint=file, resume=True, **settings)
    for a, b in zip(whole.parameters(), stopped.parameters(), strict=True):
        assert torch.equal(a, b)


# --- two modes ------------------------------------------------------------------------------------


def divergence_after(method, seed, n=12, share=0.75, flip=0.03):
    """KL(law || model) after training on n spins that are mostly up, or mostly down.

    Up in `share` of the configurations; each spin is off with probability `flip`.
    """
    g = np.random.default_rng(seed)
    up = np.where(g.random((1000, 1)) < share, 1, -1)
    data = np.where(g.random((1000, n)) < flip, -up, up).astype(np.int8)
    shell = RBM(np.zeros(n), np.zeros(4), g.normal(0, 0.05, (n, 4))).thaw()
    train(shell, data, method, epochs=40, rng=seed, learning_rate=0.05, monitor=QUIET)
    model = shell.freeze()
    x = model.space.from_index(np.arange(2**n))
    k = (x > 0).sum(axis=1)
    law = share * (1 - flip) ** k * flip ** (n - k) + (1 - share) * flip**k * (1 - flip) ** (n - k)
    return float(law @ np.log(law / enumeration.distribution(model, 1.0)))


@pytest.mark.slow
def test_modes_far_apart():
    """Plain chains stay in one mode, and the model's share of it drifts; tempered ones go over."""
    tempered, plain = (
        np.log([divergence_after(method, seed) for seed in range(4)])
        for method in (TemperedPCD(n_chains=100, n_betas=6), PersistentCD(n_chains=100))
    )
    gain = plain - tempered
    assert gain.mean() > 4 * gain.std(ddof=1) / 2.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k=0"), ({"n_chains": 0}, "n_chains=0"), ({"n_betas": 1}, "n_betas=1"),
        ({"n_betas": 4, "betas": (0.0, 1.0)}, "both were given"),
        ({"betas": (0.0, 0.9)}, "exactly 1"), ({"betas": (1.0, 0.0)}, "increasing"),
        ({"betas": "cold"}, "no list of numbers"),
    ],
)  # fmt: skip
def test_bad_settings(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        TemperedPCD(**arguments)
