"""`DiffusionModel`: a variational diffusion model, for continuous data.

Data are noised step by step, q(x_t | x_0) = N(sqrt(abar_t) x_0, (1 - abar_t) I); a network that
guesses x_0 from x_t turns the steps around,

    p(x_s | x_t) = N(m(x_t, guess), beta~ I),   q(x_s | x_t, x_0) with the guess in place of x_0,

and the evidence has the lower bound of three terms (`_diffusion_elbo.py`)

    log p(x) >= reconstruction - prior - diffusion.

In T steps or in continuous time, as the schedule says. Nothing is ever clipped unless asked for:
data of physics have no natural box.

J. Ho, A. Jain, P. Abbeel (2020), arXiv:2006.11239; D. P. Kingma, T. Salimans, B. Poole, J. Ho
(2021), arXiv:2107.00630; C. Luo (2022), arXiv:2208.11970.
"""

import math
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..spaces import Reals, Space
from ..training import History
from ..training._arguments import check_at_least
from ..training.shell import Gradients
from . import _diffusion_elbo as bound
from . import _diffusion_samplers as samplers
from ._latent import EvidenceBound
from ._model import GenerativeModel, Losses
from .denoisers import DenseDenoiser
from .learned_schedule import LearnedLogSNR
from .likelihood import LogLikelihood
from .schedules import Levels, LogLinear, Schedule, check_scale, check_terminal

PREDICTIONS = ("epsilon", "x0", "v")
LOSSES = ("elbo", "simple")


class DiffusionModel(GenerativeModel):
    """A diffusion model of configurations of a space.

    Parameters
    ----------
    space : Space
        `Reals(size)`. Bring data to mean 0 and variance 1: the noise they end in has these.
    schedule : Schedule or LearnedLogSNR, default LogLinear()
        The noise levels, and whether time is discrete.
    network : torch module, optional
        (x_t, log_snr (n, 1), condition or None) -> (n, size); a `DenseDenoiser` unless given.
    prediction : "epsilon", "x0" or "v"
        What the network's output is: the noise, the data, or v = sqrt(abar) eps - sqrt(1-abar) x.
    loss : "elbo" or "simple"
        What is minimised: minus the bound, or the mean squared error of the prediction at levels
        evenly spread over the schedule (Ho et al., eq. 14), no bound but often better samples.
    n_conditions : int
        Numbers beside each configuration, such as a temperature.
    rng : int or numpy Generator
        Of the first weights; needed where no network is given.
    dtype : torch dtype
        Of the ready-made network, and of all configurations.

    Raises
    ------
    InvalidInput
        For a schedule whose terminal signal is not negligible, settings that do not exist, and a
        network that does not answer zeros of this size, dtype and conditions with their like.
    """

    _anchor: Tensor

    def __init__(
        self,
        space: Space,
        *,
        schedule: Any = None,
        network: nn.Module | None = None,
        prediction: str = "epsilon",
        loss: str = "elbo",
        n_conditions: int = 0,
        rng: Any = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(space, n_conditions)
        self._check_space(space)
        schedule = LogLinear() if schedule is None else schedule
        for name, value, known in (
            ("prediction", prediction, PREDICTIONS),
            ("loss", loss, LOSSES),
        ):
            if value not in known:
                raise InvalidInput(f"{name}={value!r} is not one of {', '.join(known)}.")
        if not isinstance(schedule, Schedule):
            raise InvalidInput(
                f"schedule={schedule!r} is none: take Linear(1000), Cosine(100), LogLinear(), "
                "LearnedLogSNR(rng=1), or Levels(alpha_bar) with amplitudes of your own."
            )
        check_terminal(schedule)
        if loss == "simple" and isinstance(schedule, LearnedLogSNR):
            raise InvalidInput(
                'loss="simple" weighs the levels by hand, so that a learned schedule would run '
                'to where guessing is easy. Take loss="elbo".'
            )
        if network is None:
            network = DenseDenoiser(
                int(space.size), rng=rng, n_conditions=self.n_conditions, dtype=dtype
            )
        _check_network(network, int(space.size), self.n_conditions, dtype)
        self.schedule, self.network = schedule, network
        self.prediction, self.loss = prediction, loss
        # Where the model is and in which precision, also of a network without parameters.
        anchor = torch.zeros((), dtype=dtype, device=_device(network))
        self.register_buffer("_anchor", anchor, persistent=False)
        self._calibration: samplers.Calibration | None = None

    def extra_repr(self) -> str:
        """The settings, which a checkpoint compares."""
        schedule = "" if isinstance(self.schedule, nn.Module) else f"schedule={self.schedule!r}, "
        return (
            f"{schedule}prediction={self.prediction!r}, loss={self.loss!r}, "
            f"n_conditions={self.n_conditions}"
        )

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self._anchor.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of configurations."""
        return self._anchor.dtype

    # --- what a model of another space overrides --------------------------------------------------

    def _check_space(self, space: Space) -> None:
        """Raise InvalidInput for a space that the decoder does not serve."""
        if not isinstance(space, Reals):
            raise InvalidInput(
                f"DiffusionModel has a decoder for real numbers, and {space!r} are none: its "
                "bound would be the density of smeared reals. Take SpinDiffusion for spins."
            )

    def log_decoder(self, x: Tensor, guess: Tensor, z: Tensor, log_snr: Tensor) -> Tensor:
        """log p(x | z) (n,), z the least noisy latent at log_snr (n, 1) float64, guess E[x | z] of
        the network: N(x; guess, exp(-log_snr) I), the width of what z knows of x by itself."""
        squares = ((x - guess).double() ** 2).sum(dim=1)
        level = log_snr[:, 0]
        constant = 0.5 * x.shape[1] * (level - math.log(2.0 * math.pi))
        return constant - 0.5 * level.exp() * squares

    def decode(
        self, last: Tensor, guess: Tensor, z: Tensor, log_snr: float, generator: torch.Generator
    ) -> Tensor:
        """Configurations from the least noisy latent z of a sampler: `last`, the sampler's own
        step to no noise at all, which adds none."""
        return last

    def as_latents(self, x: Tensor) -> Tensor:
        """Configurations of the space in the units of guesses: the same."""
        return x

    def as_configurations(self, x: Tensor) -> Tensor:
        """The inverse of `as_latents`."""
        return x

    # --- the network ------------------------------------------------------------------------------

    def answer(self, x: Tensor, log_snr: Tensor, condition: Tensor | None) -> Tensor:
        """What the network itself says, (n, size), at levels (n, 1) of x's dtype."""
        found: Tensor = self.network(x, log_snr, condition)
        if found.shape != x.shape:
            raise InvalidInput(
                f"The network answers {tuple(found.shape)} to x_t of shape {tuple(x.shape)}; the "
                "same shape is needed."
            )
        return found

    def guess(self, x: Tensor, log_snr: Tensor, condition: Tensor | None) -> Tensor:
        """E[x_0 | x_t] by the network, (n, size), at levels (n, 1) float64."""
        # One level for all rows, as samplers give it, stays a view, so that networks can see it.
        level = log_snr[:1] if log_snr.stride(0) == 0 else log_snr
        told = level.to(x.dtype).expand(len(x), 1)
        found = self.answer(x, told, condition)
        if self.prediction == "x0":
            return found
        a, s = bound.amplitudes(level, x.dtype)
        return (x - s * found) / a if self.prediction == "epsilon" else a * x - s * found

    def denoise(self, x: Any, log_snr: Any, condition: Any = None) -> np.ndarray:
        """The network's E[x_0 | x_t = x].

        Parameters
        ----------
        x : array (n, size)
            Noisy configurations, real numbers.
        log_snr : float or array (n,)
            log(abar / (1 - abar)), finite.
        condition : as in `sample`

        Returns
        -------
        float64 (n, size)
        """
        noisy, level, given = self.noisy(x, log_snr, condition)
        with torch.no_grad():
            return self.guess(noisy, level, given).to("cpu", torch.float64).numpy()

    def score(self, x: Any, log_snr: Any, condition: Any = None) -> np.ndarray:
        """grad log p_t(x) = (sqrt(abar) E[x_0 | x] - x) / (1 - abar), float64 (n, size); parameters
        as in `denoise`."""
        noisy, level, given = self.noisy(x, log_snr, condition)
        with torch.no_grad():
            a, s = bound.amplitudes(level, torch.float64)
            found = (a * self.guess(noisy, level, given).double() - noisy.double()) / s**2
        return found.cpu().numpy()

    def noisy(self, x: Any, log_snr: Any, condition: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        """Noisy configurations, their levels (n, 1) float64 and conditions as tensors, checked."""
        rows = Reals(self.space.size).check(x)
        levels = np.asarray(log_snr, np.float64)
        if rows.ndim != 2 or not len(rows):
            raise InvalidInput(f"x has shape {rows.shape}; rows (n, {self.space.size}) are needed.")
        if levels.shape not in ((), (len(rows),)) or not np.isfinite(levels).all():
            raise InvalidInput(
                f"log_snr={log_snr!r} must be one finite number, or one for each of the "
                f"{len(rows)} configurations."
            )
        column = torch.as_tensor(np.array(np.broadcast_to(levels, len(rows))), device=self.device)
        given = self.conditions(condition, len(rows), "condition")
        return self.tensor(rows), column[:, None], given

    # --- training ---------------------------------------------------------------------------------

    def fit(self, data: Any, **settings: Any) -> History:
        """As `GenerativeModel.fit`; data whose scale leaves a signal at the end of the schedule are
        refused with InvalidInput."""
        check_scale(self.schedule, self.checked(data, "data"))
        return super().fit(data, **settings)

    def losses(self, x: Tensor, condition: Tensor | None, generator: torch.Generator) -> Losses:
        """Minus the bound and its terms, or the simple loss; nats a configuration."""
        if self.loss == "simple":
            return bound.simple(self, x, condition, generator)
        terms = bound.training_terms(self, x, condition, generator)
        means = {name: value.mean() for name, value in terms.items()}
        return {"loss": means["prior"] + means["diffusion"] - means["reconstruction"], **means}

    def gradients(
        self, x: Tensor, condition: Tensor | None, generator: torch.Generator, step: int
    ) -> tuple[Gradients, Losses]:
        """As of every model; in continuous time the shape of a learned schedule does not change the
        bound, and moves so that its variance falls (Kingma et al., section 4.2)."""
        if isinstance(self.schedule, LearnedLogSNR) and self.schedule.steps is None:
            return bound.two_aims(self, x, condition, generator)
        return super().gradients(x, condition, generator, step)

    # --- the bound and the likelihood -------------------------------------------------------------

    def elbo(
        self,
        x: Any,
        *,
        rng: Any,
        n_draws: int = 16,
        form: str = "matching",
        condition: Any = None,
    ) -> EvidenceBound:
        """The lower bound on log p(x), and its terms; p is the law of the steps back with noise.
        `log_likelihood` is of the flow's, another law where the network is not exact: the bound may
        lie above it.

        Parameters
        ----------
        x : array (n, size)
        rng : int or numpy Generator
            The seed. There is no default.
        n_draws : int, default 16
            Noise draws for each configuration, each at one time drawn anew; at least 2.
        form : "matching" or "consistency"
            Denoising matching, KL(q(x_s | x_t, x_0) || p(x_s | x_t)) in closed form; or
            consistency, log q(x_t | x_s) / p(x_t | x_u) averaged over the triple (x_s, x_t, x_u).
            The same number; the second has a variance that grows as T^2, and no continuous time.
        condition : as in `sample`

        Returns
        -------
        EvidenceBound
            Terms "reconstruction" (log p(x | least noisy latent)), "prior" and "diffusion"
            (divergences), and "elbo" = reconstruction - prior - diffusion, each with an error.
        """
        check_at_least("n_draws", n_draws, 2, "draws, for an error")
        if form not in bound.FORMS:
            raise InvalidInput(f"form={form!r} is not one of {', '.join(bound.FORMS)}.")
        rows = self.configurations(x)
        given = self.conditions(condition, len(rows), "condition")
        return bound.estimate(self, rows, given, self.generator(rng), n_draws, form)

    def log_likelihood(
        self,
        x: Any,
        *,
        divergence: str = "exact",
        rng: Any = None,
        n_probes: int = 16,
        tolerance: float = 1e-5,
        condition: Any = None,
    ) -> LogLikelihood:
        """log p(x) by the probability-flow ODE; see `_ode.py` for the law that it is of, which is
        that of method="ode-heun" in many steps.

        Parameters
        ----------
        x : array (n, size)
        divergence : "exact" or "hutchinson"
            The trace of the flow's Jacobian by `size` derivatives, or estimated by random probes
            (unbiased; M. Hutchinson 1989, doi:10.1080/03610919008812866).
        rng : int or numpy Generator
            The seed of the probes; needed for them alone.
        n_probes : int, default 16
            Probes for each configuration, at least 2: the error is their spread.
        tolerance : float, default 1e-5
            Relative and absolute, of the integration. Networks in single precision give no more.
        condition : as in `sample`

        Returns
        -------
        LogLikelihood
            kind "exact" or "estimate".
        """
        from ._ode import log_likelihood

        return log_likelihood(self, x, divergence, rng, n_probes, tolerance, condition)

    # --- samples ----------------------------------------------------------------------------------

    def sample(
        self,
        n: int,
        *,
        rng: Any,
        condition: Any = None,
        batch_size: int = 10_000,
        method: str = "ode-heun",
        n_steps: int | None = None,
        likelihood: Any = None,
        clip: tuple[float, float] | None = None,
    ) -> np.ndarray:
        """Draw configurations.

        Parameters
        ----------
        n : int
        rng : int or numpy Generator
            The seed. There is no default.
        condition : array (n, n_conditions), (n,), or a number
            Of a conditional model.
        batch_size : int, default 10_000
            Drawn at a time.
        method : str
            "ddpm-small", "ddpm-large", "ddpm-optimal" (needs `calibrate`), "ddim",
            "euler-maruyama", "ode-euler" or "ode-heun"; see `_diffusion_samplers.py`.
        n_steps : int, optional
            All steps of a discrete schedule; 200 in continuous time.
        likelihood : `LinearMeasurement` or `GradientGuide`, optional
            Sample the posterior: the model times this likelihood; see `guidance.py`.
        clip : (low, high), optional
            Clip the guess of x_0 at every step. Wrong for all data without such bounds. In the
            units of configurations, as the likelihood is.

        Returns
        -------
        array (n, size) of the space's dtype

        Raises
        ------
        InvalidInput
            For settings that do not fit, and draws that are no finite numbers: of a network that
            diverged, a guide that does, or too few steps for the schedule's range.
        """
        plan = samplers.plan(self, method, n_steps, likelihood, clip)
        draw = partial(samplers.draw, self, plan)
        return self._in_batches(draw, n, condition, rng, batch_size)

    def _draw(self, n: int, condition: Tensor | None, generator: torch.Generator) -> Tensor:
        return samplers.draw(
            self, samplers.plan(self, "ode-heun", None, None, None), n, condition, generator
        )

    def levels(self, n_steps: int | None = None) -> Levels:
        """The amplitudes that a sampler passes through, its end without noise included: what
        `exact.targets.predict_sampler` asks for."""
        return samplers.levels(self, n_steps)

    def calibrate(
        self,
        data: Any,
        *,
        rng: Any,
        n_steps: int | None = None,
        n_draws: int = 1,
        condition: Any = None,
    ) -> np.ndarray:
        """Measure the network's mean squared error at the levels of a sampler in `n_steps` steps,
        for method="ddpm-optimal". Refused there once the weights are no longer the same.

        Parameters
        ----------
        data : array (n, size)
            Configurations, not those that the network was trained on.
        rng : int or numpy Generator
        n_steps : int, optional
            As in `sample`.
        n_draws : int, default 1
            Noise draws for each configuration and level.

        Returns
        -------
        float64 (steps,)
            |x - guess|^2 a dimension, from the least noisy level to the most: those of
            `levels(n_steps)`, one more than n_steps where the schedule begins with noise.
        """
        check_at_least("n_draws", n_draws, 1, "draws")
        rows = self.configurations(data, "data")
        given = self.conditions(condition, len(rows), "condition")
        self.eval()
        self._calibration = samplers.measure(
            self, rows, given, self.generator(rng), n_steps, n_draws
        )
        return self._calibration.mse


def _device(network: nn.Module) -> torch.device | None:
    """Where a network is; None of one without parameters and buffers."""
    for value in (*network.parameters(), *network.buffers()):
        return value.device
    return None


def _check_network(network: Any, size: int, n_conditions: int, dtype: torch.dtype) -> None:
    """Raise InvalidInput unless it answers zeros as its signature says."""
    if not isinstance(network, nn.Module):
        raise InvalidInput(
            f"network={network!r} must be a torch module: (x_t, log_snr (n, 1), condition or None) "
            "-> (n, size)."
        )
    device = _device(network)
    x = torch.zeros((2, size), dtype=dtype, device=device)
    condition = x.new_zeros((2, n_conditions)) if n_conditions else None
    wanted = f"x_t (2, {size}), log_snr (2, 1) and " + (
        f"conditions (2, {n_conditions})" if n_conditions else "no condition"
    )
    modes = {module: module.training for module in network.modules()}
    network.eval()  # a question must not move running averages
    try:
        with torch.no_grad():
            found = network(x, x.new_zeros((2, 1)), condition)
    except InvalidInput:
        raise
    except Exception as error:
        raise InvalidInput(
            f"The network fails on {wanted} of {dtype}: {error}. Give it the model's size, "
            "n_conditions and dtype."
        ) from error
    finally:
        for module, mode in modes.items():
            module.training = mode
    if not isinstance(found, Tensor) or found.shape != x.shape or found.dtype != dtype:
        answer = (
            f"{tuple(found.shape)} of {found.dtype}"
            if isinstance(found, Tensor)
            else type(found).__name__
        )
        raise InvalidInput(
            f"The network answers {answer} to {wanted} of {dtype}; the same shape and "
            "dtype as those of x_t are needed."
        )
