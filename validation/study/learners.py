"""The models of the study: how each is made and trained.

The epochs of the table below were set for two minutes of one core each. In the stored study, on a
machine that other work shared, they took 53 to 141 s, and the variational network 280 s. A larger
lattice takes the same epochs, and longer. Equal time is not equal steps: `Learner.updates` counts
them.

What they learn from is one set of configurations, but not all of it for all. Models whose
likelihood can be computed (VAEs, diffusion, autoregressive) train on nine tenths and choose the
epoch by the tenth that was kept back; the RBM and the GANs train on all of it and keep their last
parameters; the variational network sees no configuration, it learns from the energy. Symmetries
that are built in: s -> -s in both autoregressive networks, s -> -s and translations in the
denoiser; none in the RBM, the VAEs and the GANs, whose convolutions end in a dense layer.

Not all were tuned alike. The autoregressive network and the GANs have settings that were chosen by
the study's own scores, after short trainings on other seeds than the study's: convolutions instead
of dense networks for both, and the GAN's rate of 1e-3 instead of 5e-4. The RBM's rates were chosen
so that it does not freeze. VAE, hierarchical VAE, diffusion and WGAN-GP had no such search: a
better choice of theirs may do better.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from statmech_ml import lattices, sample
from statmech_ml.generative import (
    GAN,
    VAE,
    AutoregressiveSpins,
    HierarchicalVAE,
    LatticeDenoiser,
    LogLikelihood,
    MaskedConvolution,
    SpinDiffusion,
)
from statmech_ml.models import RBM, Ising
from statmech_ml.partition import Weights, ais
from statmech_ml.samplers import BlockGibbs
from statmech_ml.spaces import Spins
from statmech_ml.training import History, PersistentCD, train

from .jobs import Bits, Job, Trained
from .plan import Task

BATCH, RBM_BATCH = 200, 1000
CRITIC_STEPS = {"gan": 1, "wgan-gp": 5}
"""For each step of the generator."""

STEPS = 50
"""In an "epoch" of a network that learns from the energy."""

SWEEPS = 2000
"""Of block Gibbs before a sample of the RBM is taken, each from a chain of its own."""


@dataclass(frozen=True)
class Learner:
    """One row of the study: its title, its epochs, and how it is trained.

    Attributes
    ----------
    title : str
    full : int
        Epochs, of a task with share 1.
    learn : function of a `Job`
    learns : "part", "all" or "energy"
        Nine tenths of the data, the rest chooses the epoch; all of the data; none of it.
    batch : int
        Configurations, or draws, of one step.
    turns : int
        Steps of training for one step of the network that makes samples: a critic takes the others.
    remark : str
        What must be known to read its row.
    networks : bool
        Whether the device of a study is where it is trained.
    """

    title: str
    full: int
    learn: Callable[[Job], Trained]
    learns: str = "part"
    batch: int = BATCH
    turns: int = 1
    remark: str = ""
    networks: bool = True

    def epochs(self, task: Task) -> int:
        """Of this task; at least one."""
        return max(1, round(self.full * task.share))

    def updates(self, task: Task) -> int:
        """Optimiser steps of what makes the samples."""
        n = task.n_train * 9 // 10 if self.learns == "part" else task.n_train
        steps = STEPS if self.learns == "energy" else math.ceil(n / min(self.batch, n))
        return self.epochs(task) * steps // self.turns


# --- restricted Boltzmann machine -----------------------------------------------------------------


def rbm(job: Job) -> Trained:
    """As many hidden spins as visible ones, PCD-2 with 2000 chains, a rate that falls by 100."""
    n = job.task.size**2
    weights = np.random.default_rng(job.task.seed_for("weights")).normal(0.0, 0.01, (n, n))
    shell = RBM(np.zeros(n), np.zeros(n), weights).thaw()
    fall = 0.01 ** (1.0 / job.epochs)
    history = train(
        shell,
        job.data,
        PersistentCD(k=2, n_chains=2000),
        epochs=job.epochs,
        batch_size=min(RBM_BATCH, len(job.data)),
        # Weak correlations make small gradients; and at rates of 0.4 machines froze.
        learning_rate=0.1 if job.task.temperature < 2.7 else 0.2,
        schedule=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, fall),
        monitor=None,
        rng=job.task.seed_for("training"),
        checkpoint=job.checkpoint,
        checkpoint_every=job.every,
        resume=job.resume,
        progress=False,
    )
    seconds = _seconds(history)
    machine, notes = shell.freeze(), []

    def draw(n_samples: int, seed: int) -> np.ndarray:
        """Half of the chains start ordered, half random: where they end must not tell which."""
        rng = np.random.default_rng(seed)
        start = rng.choice(np.array([-1, 1], np.int8), (n_samples, n))
        start[::2] = np.where(start[::2, :1] > 0, 1, -1)
        final = sample(
            machine, BlockGibbs(), beta=1.0, n_chains=n_samples, n_draws=1, burn_in=SWEEPS,
            start=start, rng=rng, keep_states=False, progress=False,
        ).final.x  # fmt: skip
        energy = Ising(lattices.square(job.task.size, job.task.size)).energy(final)
        ordered, disordered = energy[::2], energy[1::2]
        error = np.hypot(ordered.std(), disordered.std()) / (n_samples / 2) ** 0.5
        z = float((ordered.mean() - disordered.mean()) / error) if error else 0.0
        verdict = "agree" if abs(z) < 4.0 else "DISAGREE: these are not samples of its law"
        notes.append(f"chains from ordered and random starts {verdict} (z = {z:+.1f})")
        return final

    def log_likelihood(x: np.ndarray, seed: int) -> Bits:
        found = ais(Weights(machine), n_levels=1000, n_chains=500, rng=seed)
        values = -machine.free_energy(x) - found.value
        return Bits(values, "estimate", f"AIS ({found.status})", found.stderr)

    parameters = sum(p.numel() for p in shell.parameters())
    return Trained(draw, log_likelihood, parameters, seconds, notes)


def _seconds(history: History) -> float:
    """Of a training that ended; an interrupted one ends the task, and its checkpoint stays."""
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    return float(np.sum(history["seconds"]))


# --- networks -------------------------------------------------------------------------------------


def _fitted(job: Job, model: Any, log_likelihood: Any = None, **settings: Any) -> Trained:
    """`model` after `fit`; Adam's rate falls to zero on a cosine.

    One that has a likelihood keeps a tenth of its data back, and the parameters of the epoch at
    which these cost least: many epochs may overfit.
    """
    model, data = model.to(job.device), job.data
    if log_likelihood is not None:
        data, kept = np.split(job.data, [9 * len(job.data) // 10])
        settings |= {"validation_data": kept, "early_stopping": job.epochs}
    history = model.fit(
        data,
        epochs=job.epochs,
        batch_size=min(BATCH, len(data)),
        schedule=_cosine(job),
        rng=job.task.seed_for("training"),
        checkpoint=job.checkpoint,
        checkpoint_every=job.every,
        resume=job.resume,
        progress=False,
        **settings,
    )
    return _trained(model, history, log_likelihood)


def _cosine(job: Job) -> Any:
    return lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, job.epochs)


def _trained(model: Any, history: History, log_likelihood: Any) -> Trained:
    return Trained(
        lambda n, seed: model.sample(n, rng=seed),
        None if log_likelihood is None else lambda x, seed: log_likelihood(model, x, seed),
        sum(p.numel() for p in model.parameters()),
        _seconds(history),
    )


def _spins(job: Job) -> Spins:
    return Spins(job.task.size**2)


def _weights(job: Job) -> int:
    """The seed of a network's first weights."""
    return job.task.seed_for("weights")


def _as_bits(found: LogLikelihood) -> Bits:
    return Bits(found.values, found.kind, found.method)


def _by_importance(model: Any, x: np.ndarray, seed: int) -> Bits:
    """IWAE with 500 draws, of 1000 configurations: biased low, so a bound."""
    found = model.log_likelihood(x[:1000], n_draws=500, rng=seed)
    return Bits(found.values, "lower bound", found.method)


def _exactly(model: Any, x: np.ndarray, seed: int) -> Bits:
    return _as_bits(model.log_likelihood(x))


def vae(job: Job) -> Trained:
    """Dense, as many latents as half the sites."""
    space = _spins(job)
    return _fitted(job, VAE(space, space.size // 2, (256, 256), rng=_weights(job)), _by_importance)


def hierarchical_vae(job: Job) -> Trained:
    """Two levels of latents, dense."""
    space = _spins(job)
    latents = (space.size // 2, space.size // 4)
    model = HierarchicalVAE(space, latents, (256, 256), rng=_weights(job))
    return _fitted(job, model, _by_importance)


def diffusion(job: Job) -> Trained:
    """Spins, convolutions as large as the lattice; drawn by 100 steps of the probability flow."""
    side = job.task.size
    network = LatticeDenoiser((side, side), 24, 2, rng=_weights(job))
    model = SpinDiffusion(_spins(job), network=network)

    def bound(model: Any, x: np.ndarray, seed: int) -> Bits:
        return _as_bits(model.log_likelihood(x[:1000], rng=seed))

    def draw(n: int, seed: int) -> np.ndarray:
        return np.asarray(model.sample(n, rng=seed, n_steps=100))

    return replace(_fitted(job, model, bound, learning_rate=3e-3), sample=draw)


def gan(job: Job) -> Trained:
    """Non-saturating, convolutions; R1 keeps the players from circling."""
    side = job.task.size
    model = GAN.lattice(
        (side, side), 32, gradient_penalty=1.0, n_critic=CRITIC_STEPS["gan"], rng=_weights(job)
    )
    return _fitted(job, model, learning_rate=1e-3)


def wgan(job: Job) -> Trained:
    """Wasserstein with gradient penalty, the same networks."""
    side = job.task.size
    model = GAN.lattice(
        (side, side), 32, "wasserstein", n_critic=CRITIC_STEPS["wgan-gp"], rng=_weights(job)
    )
    return _fitted(job, model, learning_rate=5e-4)


def autoregressive(job: Job) -> Trained:
    """Maximum likelihood on the same data; convolutions that reach across the lattice."""
    side = job.task.size
    network = MaskedConvolution((side, side), 16, max(2, side // 2), rng=_weights(job))
    model = AutoregressiveSpins(_spins(job), network, flip_symmetry=True)
    return _fitted(job, model, _exactly, learning_rate=3e-3)


def variational(job: Job) -> Trained:
    """No data, the energy itself: an epoch is `STEPS` steps of 200 draws. Dense, as it draws at
    every step, and convolutions draw slowly."""
    side, steps = job.task.size, STEPS * job.epochs
    model = AutoregressiveSpins(_spins(job), rng=_weights(job), flip_symmetry=True).to(job.device)
    history = model.fit_variational(
        Ising(lattices.square(side, side)),
        beta=1.0 / job.task.temperature,
        n_steps=steps,
        anneal_steps=steps // 2,
        schedule=_cosine(job),
        rng=job.task.seed_for("training"),
        checkpoint=job.checkpoint,
        checkpoint_every=job.every,
        resume=job.resume,
        progress=False,
    )
    return _trained(model, history, _exactly)


LEARNERS: dict[str, Learner] = {
    "rbm": Learner(
        "RBM", 500, rbm, "all", RBM_BATCH,
        remark="its log Z is estimated by AIS, which errs low if anything, and the bits with it",
        networks=False,
    ),
    "vae": Learner("VAE", 80, vae),
    "hvae": Learner("hierarchical VAE", 55, hierarchical_vae),
    "diffusion": Learner(
        "diffusion", 28, diffusion,
        remark="its bits are a bound of the stochastic model, its samples those of the probability "
        "flow, which has another law where the network is not exact",
    ),
    "gan": Learner("GAN", 13, gan, "all", turns=1 + CRITIC_STEPS["gan"]),
    "wgan-gp": Learner("WGAN-GP", 11, wgan, "all", turns=1 + CRITIC_STEPS["wgan-gp"]),
    "autoregressive": Learner("autoregressive", 11, autoregressive),
    "variational": Learner(
        "variational AR", 500, variational, "energy",
        remark="it learnt from the energy, not from data",
    ),
}  # fmt: skip
"""By name, in the order of the table."""
