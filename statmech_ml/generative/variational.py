"""Variational training of `AutoregressiveSpins`, its free energy, and reweighting to the exact law.

With f(s) = log p(s) + u(s), u the reduced energy,

    E_p[f] = -log Z + KL(p || exact)                                     variational free energy
    grad E_p[f] = 1/(n - 1) sum_k (f_k - mean f) grad log p(s_k)         on average over n draws
    log w = -f,   E_p[w] = Z,   <A> = sum_k w_k A(s_k) / sum_k w_k       importance sampling

The second is the score-function gradient (E_p[grad log p] = 0) with the mean of the other n - 1
draws as baseline. The loop is that of `fit`: its rows of data are step numbers here, one a step.

D. Wu, L. Wang and P. Zhang, Phys. Rev. Lett. 122, 080602 (2019),
doi:10.1103/PhysRevLett.122.080602; weights: K. A. Nicoli et al., Phys. Rev. E 101, 023304 (2020),
doi:10.1103/PhysRevE.101.023304.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from .. import _rng
from ..errors import InvalidInput, ShortChain
from ..partition import LogZ
from ..partition.ais import ais_from_log_weights
from ..partition.logz import CONSTANT
from ..statistics import Estimate
from ..statistics.estimate import OnShort, check_on_short, from_tau
from ..training import History, Method, Step
from ..training import checkpoint as store
from ..training._arguments import check_at_least
from ..training.descent import Descent
from ..training.method import Carried
from ..training.run import Run
from ._decoders import check_finite
from ._fit import _check_rate, _generator

_PROBES = 64  # configurations whose energies tell one model from another in checkpoints


@dataclass(frozen=True)
class FreeEnergyDescent(Method):
    """The score-function gradient of the variational free energy.

    `betas` (k,) and `conditions` (k, n_conditions) belong together; each step draws `batch_size`
    configurations, as many for each.
    """

    model: Any
    betas: np.ndarray
    conditions: np.ndarray | None
    batch_size: int
    anneal_steps: int

    def check(self, shell: Any, data: np.ndarray) -> None:
        """Nothing: `fit_variational` has checked."""

    def gradient(self, shell: Any, batch: Any, carried: Carried, seed: int, step: int) -> Step:
        """Gradients from draws of the network as it is; the batch is not looked at."""
        annealed = min(1.0, (step + 1) / self.anneal_steps) if self.anneal_steps else 1.0
        each = self.batch_size // len(self.betas)
        generator = _generator(shell, seed, step)
        condition = None
        if self.conditions is not None:
            condition = shell.tensor(np.repeat(self.conditions, each, axis=0))
        shell.eval()
        with torch.no_grad():
            x = shell._draw(self.batch_size, condition, generator)
        beta = annealed * np.repeat(self.betas, each)
        u = reduced_energies(self.model, self._array(shell, x), beta)
        # Still without dropout: f and its gradient must be those of the law that was drawn from.
        with torch.enable_grad():
            log_p = shell.log_density(x, condition)
            f = log_p.detach() + torch.as_tensor(u, device=log_p.device)
            groups = f.reshape(-1, each)
            away = (groups - groups.mean(dim=1, keepdim=True)).reshape(-1)
            # Each group's mean over n - 1: the baseline of a draw is the mean of the others.
            surrogate = (away * log_p).sum() / ((each - 1) * len(groups))
            named = {n: p for n, p in shell.named_parameters() if p.requires_grad}
            found = torch.autograd.grad(surrogate, list(named.values()), allow_unused=True)
        gradients = {
            name: torch.zeros_like(p) if g is None else g
            for (name, p), g in zip(named.items(), found, strict=True)
        }
        spread = groups.std(dim=1).mean()
        return Step(gradients, {}, {
            "loss": float(f.mean()),
            "energy": float(u.mean()),
            "entropy": -float(log_p.detach().mean()),
            "spread": float(spread),
            "annealed": annealed,
        })  # fmt: skip

    @staticmethod
    def _array(shell: Any, x: torch.Tensor) -> np.ndarray:
        # No -1 and +1 come of log-odds that are NaN; weights may be finite, and their sums not.
        drawn = check_finite(x, "network")
        return drawn.to("cpu", torch.float64).numpy().astype(shell.space.dtype)


def fit_variational(
    shell: Any,
    model: Any,
    *,
    beta: Any,
    n_steps: int,
    rng: Any,
    condition: Any,
    batch_size: int,
    anneal_steps: int,
    learning_rate: float,
    optimizer: Any,
    schedule: Any,
    weight_decay: float,
    clip: float | None,
    ema: float | None,
    steps_per_epoch: int,
    checkpoint: Any,
    checkpoint_every: int,
    resume: bool,
    progress: bool | None,
) -> History:
    """See `AutoregressiveSpins.fit_variational`."""
    for name, value, least, what in (
        ("n_steps", n_steps, 0, "steps"),
        ("steps_per_epoch", steps_per_epoch, 1, "steps"),
        ("anneal_steps", anneal_steps, 0, "steps"),
        ("checkpoint_every", checkpoint_every, 1, "epochs"),
    ):
        check_at_least(name, value, least, what)
    if n_steps % steps_per_epoch:
        raise InvalidInput(
            f"n_steps={n_steps} is no multiple of steps_per_epoch={steps_per_epoch}. Take "
            f"n_steps={-(-n_steps // steps_per_epoch) * steps_per_epoch}, or other epochs."
        )
    betas = np.atleast_1d(check_beta(beta))
    if betas.ndim != 1 or (len(betas) > 1 and not shell.n_conditions):
        raise InvalidInput(
            f"beta has shape {betas.shape}; a model without conditions has one temperature. Make "
            "it with n_conditions=1 and give condition=, one for each beta."
        )
    conditions = shell.checked_conditions(condition, len(betas), "condition")
    check_at_least("batch_size", batch_size, 2 * len(betas), "configurations")
    if batch_size % len(betas):
        raise InvalidInput(
            f"batch_size={batch_size} does not divide into {len(betas)} temperatures. Take "
            f"batch_size={-(-batch_size // len(betas)) * len(betas)}."
        )
    seeds = np.random.SeedSequence(_rng.seed_from(rng)).generate_state(2, np.uint64)
    seed, order_seed = (int(s) for s in seeds)
    probes = check_model(shell, model, float(betas[0]))
    target = store.target_of(checkpoint, resume)
    if optimizer is None:
        _check_rate(learning_rate)
        optimizer = shell.optimizer(float(learning_rate))
    descent = Descent(shell, optimizer, None, schedule, weight_decay, clip, ema)
    if target is not None:
        descent.check_comparable()
    settings = {
        "method": "variational",
        "seed": seed,
        "beta": betas.tolist(),
        "model": store.digest_of(probes),
        "condition": None if conditions is None else store.digest_of(conditions),
        "batch_size": int(batch_size),
        "anneal_steps": int(anneal_steps),
        "steps_per_epoch": int(steps_per_epoch),
        **descent.settings,
    }
    method = FreeEnergyDescent(model, betas, conditions, int(batch_size), int(anneal_steps))
    steps = np.zeros((steps_per_epoch, 1), np.int8)  # the loop counts them; nobody reads them
    run = Run(shell, method, descent, None, steps, seed, order_seed, 1, None, falls=True)
    run.begin(steps, target, settings)
    epochs = n_steps // steps_per_epoch
    try:
        return run.until(epochs, target, checkpoint_every, settings, progress)
    finally:
        shell.eval()


# --- what draws and weights say -------------------------------------------------------------------


@dataclass(frozen=True)
class Reweighted:
    """Draws of a network with their weights in the exact ensemble.

    Attributes
    ----------
    x : array (n, size)
        Independent draws.
    energy : float64 array (n,)
        E(x), total.
    log_weights : float64 array (n,)
        -u(x) - log p(x).
    log_z : LogZ
        log of the mean weight: exp(value) is unbiased. `lower` is the mean log-weight, -beta F of
        the variational free energy. The status says whether the weights can be trusted, by the
        thresholds of all estimators of log Z; none of them can tell of a mode never drawn.
    """

    x: np.ndarray
    energy: np.ndarray
    log_weights: np.ndarray
    log_z: LogZ

    @property
    def weights(self) -> np.ndarray:
        """Normalised to the sum 1, float64 (n,)."""
        w: np.ndarray = np.exp(self.log_weights - self.log_weights.max())
        return w / w.sum()

    @property
    def ess(self) -> float:
        """Effective number of draws, (sum w)^2 / sum w^2."""
        return float(self.log_z.diagnostics["ess"])

    def mean(self, values: Any, on_short: OnShort = "raise") -> Estimate:
        """<A> in the exact ensemble, A as float (n,) or a function of x (n, size).

        The error is that of a ratio of means to first order, sum_k w_k^2 (A_k - <A>)^2 under the
        root: A. B. Owen, "Monte Carlo theory, methods and examples" (2013), equation 9.9.

        Raises ShortChain when the status of `log_z` is not trusted; its `partial` is what
        on_short="accept" returns.
        """
        a = self._values(values)
        return self._estimate(float(self.weights @ a), a - float(self.weights @ a), on_short)

    def variance(self, values: Any, on_short: OnShort = "raise") -> Estimate:
        """<A^2> - <A>^2 in the exact ensemble; the specific heat per site is that of u over N."""
        a = self._values(values)
        squares = (a - float(self.weights @ a)) ** 2
        value = float(self.weights @ squares)
        return self._estimate(value, squares - value, on_short)

    def _values(self, values: Any) -> np.ndarray:
        a: np.ndarray = np.asarray(values(self.x) if callable(values) else values, np.float64)
        if a.shape != self.log_weights.shape or not np.isfinite(a).all():
            raise InvalidInput(
                f"values have shape {a.shape}; finite numbers, one for each of the "
                f"{len(self.log_weights)} draws, are needed."
            )
        return a

    def _estimate(self, value: float, influence: np.ndarray, on_short: OnShort) -> Estimate:
        check_on_short(on_short)
        n = len(influence)
        error = math.sqrt(n / (n - 1) * float((self.weights**2 * influence**2).sum()))
        found = Estimate(value, error, n / (2.0 * self.ess), self.ess, n)
        if on_short == "raise" and not (self.log_z.ok or self.log_z.status == CONSTANT):
            raise ShortChain(
                f"The weights cannot be trusted ({self.log_z.status}; effective draws "
                f"{self.ess:.1f} of {n}): the network is too far from this ensemble. Train it "
                "longer, or draw more.",
                found,
            )
        return found


def free_energy(
    shell: Any, model: Any, beta: float, n: int, rng: Any, condition: Any = None
) -> Estimate:
    """See `AutoregressiveSpins.free_energy`."""
    _, u, log_p = _weighed(shell, model, beta, n, rng, condition)
    f = u + log_p
    return from_tau(float(f.mean()), 0.5, float(f.var(ddof=1)), n)


def reweight(
    shell: Any, model: Any, beta: float, n: int, rng: Any, condition: Any = None
) -> Reweighted:
    """See `AutoregressiveSpins.reweight`."""
    x, u, log_p = _weighed(shell, model, beta, n, rng, condition)
    log_w = -u - log_p
    log_z = replace(ais_from_log_weights(log_w), method="autoregressive importance sampling")
    return Reweighted(x, np.asarray(model.energy(x), np.float64), log_w, log_z)


def _weighed(
    shell: Any, model: Any, beta: float, n: int, rng: Any, condition: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws, their reduced energies and their log p."""
    check_at_least("n", n, 2, "configurations")
    number = check_beta(beta)
    if number.ndim:
        raise InvalidInput(f"beta has shape {number.shape}; one number is needed.")
    check_model(shell, model, float(number))
    given = shell.checked_conditions(condition, 1, "condition")  # one for all draws
    x = shell.sample(n, rng=rng, condition=given)
    log_p = shell.log_prob(x, condition=given)
    return x, reduced_energies(model, x, np.full(n, float(number))), log_p


def reduced_energies(model: Any, x: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """u(x) at beta, finite float64 (n,); InvalidInput otherwise."""
    u = np.asarray(model.reduced_energy(x, beta), np.float64)
    if u.shape != (len(x),) or not np.isfinite(u).all():
        raise InvalidInput(
            f"reduced_energy of {model!r} has shape {u.shape} and {int((~np.isfinite(u)).sum())} "
            f"values that are not finite; one finite number for each of {len(x)} configurations "
            "is needed. A state that is forbidden (infinite energy) would have to be drawn never, "
            "and every conditional of a network is above 0."
        )
    return u


def check_beta(beta: Any) -> np.ndarray:
    """beta as float64, finite and above 0; InvalidInput otherwise."""
    try:
        found = np.asarray(beta, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"beta={beta!r} must be a number above 0.") from error
    if not found.size or not (np.isfinite(found) & (found > 0.0)).all():
        raise InvalidInput(
            f"beta={beta!r} must be finite and above 0: at T = 0 (beta infinite) only ground "
            "states are left, at beta = 0 nothing of the energy."
        )
    return found


def check_model(shell: Any, model: Any, beta: float) -> np.ndarray:
    """Reduced energies of fixed configurations; InvalidInput for a model that does not fit."""
    space = getattr(model, "space", None)
    if not callable(getattr(model, "reduced_energy", None)):
        raise InvalidInput(f"{model!r} is no energy model: it has no reduced_energy(x, beta).")
    if space != shell.space:
        raise InvalidInput(
            f"The energy is one of {space!r}, but this network draws {shell.space!r}. Make it with "
            "the model's space: AutoregressiveSpins(model.space, ...)."
        )
    drawn = shell.space.random(0, np.arange(_PROBES, dtype=np.uint32))
    return reduced_energies(model, drawn, np.full(_PROBES, beta))
