"""log p(x) by the probability-flow ODE, in log-SNR time.

With a^2 = abar = sigmoid(l), v = 1 - abar and g = E[x_0 | x], the flow whose density is that of the
diffusion at every level l is

    dx/dl = v (x + score) / 2 = (a g(x, l) - a^2 x) / 2,
    div   = (a tr dg/dx - a^2 size) / 2,      d log p(x(l)) / dl = -div.

The model's law by this flow: N(0, I) at the schedule's end l_1, carried up to its least noisy level
l_0 and divided by a(l_0), so that it is in units of the data; what is left is a noise of variance
exp(-l_0) that no density of data has. Integrated from x down to the end,

    log p(x) = size log a(l_0) + log N(x(l_1); 0, I) - int_{l_1}^{l_0} div dl.

The integrator is scipy's DOP853 on all configurations of a batch at once. The trace is exact, by
one derivative for each coordinate, or estimated by probes z of independent signs, z . (dg/dx) z
(Hutchinson), the same z along the whole flow, so that the integral is an unbiased estimate too. The
flow x(l) does not depend on the probes: one integration carries them all.

Y. Song et al. (2021), arXiv:2011.13456, section 4.3; W. Grathwohl et al. (2019), arXiv:1810.01367.
"""

import math
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from ..errors import InvalidInput
from ..training._arguments import check_at_least
from ._diffusion_elbo import ends
from .likelihood import LogLikelihood

DIVERGENCES = ("exact", "hutchinson")
_ROWS = 2000  # configurations that one integration holds


def log_likelihood(
    model: Any,
    x: Any,
    divergence: str,
    rng: Any,
    n_probes: int,
    tolerance: float,
    condition: Any,
) -> LogLikelihood:
    """See `DiffusionModel.log_likelihood`."""
    if divergence not in DIVERGENCES:
        raise InvalidInput(f"divergence={divergence!r} is not one of {', '.join(DIVERGENCES)}.")
    if not isinstance(tolerance, float) or not 0.0 < tolerance < 1.0:
        raise InvalidInput(f"tolerance={tolerance!r} must be a number between 0 and 1.")
    clean = model.configurations(x)
    given = model.conditions(condition, len(clean), "condition")
    generator = None
    if divergence == "hutchinson":
        check_at_least("n_probes", n_probes, 2, "probes, for an error")
        generator = model.generator(rng)
    elif rng is not None:
        raise InvalidInput(
            'rng= seeds the probes of divergence="hutchinson"; the exact trace has none.'
        )
    model.eval()
    values, errors = [], []
    for first in range(0, len(clean), _ROWS):
        rows = clean[first : first + _ROWS]
        beside = None if given is None else given[first : first + _ROWS]
        found = _batch(model, rows, beside, generator, n_probes, tolerance)
        values.append(found.mean(axis=1))
        n = found.shape[1]
        errors.append(found.std(axis=1, ddof=1) / math.sqrt(n) if n > 1 else np.zeros(len(found)))
    if generator is None:
        method = "probability flow, exact trace"
    else:
        method = f"probability flow, {n_probes} probes"
    kind: Any = "exact" if generator is None else "estimate"
    return LogLikelihood(np.concatenate(values), np.concatenate(errors), kind, method)


def _batch(
    model: Any,
    x: Tensor,
    condition: Tensor | None,
    generator: torch.Generator | None,
    n_probes: int,
    tolerance: float,
) -> np.ndarray:
    """log p(x) by each probe, float64 (n, probes); one column for the exact trace."""
    n, size = x.shape
    with torch.no_grad():
        high, low = (float(end) for end in ends(model.schedule, x))
    probes = None
    if generator is not None:
        draws = torch.randint(
            0, 2, (n_probes, n, size), generator=generator, device=generator.device
        )
        probes = 2.0 * draws.to(x.dtype) - 1.0
    columns = 1 if probes is None else n_probes

    def slope(log_snr: float, state: np.ndarray) -> np.ndarray:
        at = state[: n * size].reshape(n, size)
        velocity, spread = flow(model, model.tensor(at), log_snr, condition, probes)
        return np.concatenate([velocity.ravel(), spread.ravel()])

    a = 1.0 / math.sqrt(1.0 + math.exp(-high))
    start = np.concatenate([a * x.double().cpu().numpy().ravel(), np.zeros(n * columns)])
    run = solve_ivp(slope, (high, low), start, method="DOP853", rtol=tolerance, atol=tolerance)
    if not run.success:
        raise InvalidInput(
            f"The integration of the flow stopped: {run.message} The network's guess changes too "
            "abruptly for it; take a smoother network, or a larger tolerance."
        )
    end = run.y[:, -1]
    noise, spread = end[: n * size].reshape(n, size), end[n * size :].reshape(n, columns)
    log_normal = -0.5 * (noise**2 + math.log(2.0 * math.pi)).sum(axis=1)
    # The integral runs down, from high to low, so that its sign is turned already.
    found: np.ndarray = size * math.log(a) + log_normal[:, None] + spread
    return found


def flow(
    model: Any, x: Tensor, log_snr: float, condition: Tensor | None, probes: Tensor | None
) -> tuple[np.ndarray, np.ndarray]:
    """dx/dl (n, size) and its divergence (n, 1), or by each probe (n, probes)."""
    n, size = x.shape
    level = torch.full((1, 1), log_snr, dtype=torch.float64, device=x.device).expand(n, 1)
    bar = 1.0 / (1.0 + math.exp(-log_snr))
    a = math.sqrt(bar)
    with torch.enable_grad():
        noisy = x.detach().requires_grad_()
        guess = model.guess(noisy, level, condition)
        if probes is None:
            trace = torch.zeros((n, 1), dtype=x.dtype, device=x.device)
            for i in range(size):
                (row,) = torch.autograd.grad(guess[:, i].sum(), noisy, retain_graph=i + 1 < size)
                trace[:, 0] += row[:, i]
        else:
            traces = []
            for k, z in enumerate(probes):
                (row,) = torch.autograd.grad(
                    guess, noisy, grad_outputs=z, retain_graph=k + 1 < len(probes)
                )
                traces.append((row * z).sum(dim=1))
            trace = torch.stack(traces, dim=1)
    velocity = 0.5 * (a * guess.detach() - bar * noisy.detach()).double()
    divergence = 0.5 * (a * trace.double() - bar * size)
    return velocity.cpu().numpy(), divergence.cpu().numpy()
