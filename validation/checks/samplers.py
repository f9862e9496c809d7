"""Transition kernels against exact distributions, energies and moments."""

from functools import lru_cache, partial
from typing import Any

import numpy as np

from statmech_ml import lattices, sample
from statmech_ml.exact import kaufman, quadrature
from statmech_ml.models import DoubleWell, Ising
from statmech_ml.samplers import MALA, HeatBath, Sampler, SwendsenWang, Wolff
from statmech_ml.statistics import mean
from statmech_ml.systems import Model
from validation.check import Check, Measurement, Mutant, against, derive_seed, identity

# --- energies of larger lattices ------------------------------------------------------------------


def _kaufman(
    seed: int,
    scale: int,
    *,
    sampler: Sampler,
    systems: tuple[tuple[int, int, float, float], ...],
    draws: int,
    thin: int = 1,
    swap: bool = False,
    double: bool = False,
) -> list[Measurement]:
    found = []
    for rows, columns, T, J in systems:
        name = f"{rows} x {columns}, T = {T}, J = {J:g}"
        model = Ising(lattices.square(rows, columns), coupling=J)
        chain = _chain(model, sampler, T, draws * scale, thin, derive_seed(seed, name))
        beta = (2.0 if double else 1.0) * (T if swap else 1.0 / T)
        at = (rows, columns, beta, J)
        energy = chain.estimate("energy_per_site")
        found.append(against(f"u, {name}", energy, kaufman.energy_per_site(*at)))
        heat = chain.estimate("specific_heat")
        found.append(against(f"c, {name}", heat, kaufman.specific_heat(*at)))
    return found


_CACHED: dict[tuple[Any, ...], Any] = {}


def _chain(model: Ising, sampler: Sampler, T: float, draws: int, thin: int, seed: int) -> Any:
    """The chain of a check; its mutants, which see the same seed, need not run it again."""
    key = (repr(model), sampler, T, draws, thin, seed)
    if key not in _CACHED:
        if len(_CACHED) > 16:
            _CACHED.clear()
        _CACHED[key] = sample(
            model, sampler, temperature=T, n_chains=64, n_draws=draws, thin=thin,
            burn_in=max(50, draws * thin // 10), rng=seed, keep_states=False, progress=False,
        )  # fmt: skip
    return _CACHED[key]


def _kaufman_check(name: str, sampler: Sampler, systems: Any, draws: int, **how: Any) -> Check:
    run = partial(_kaufman, sampler=sampler, systems=systems, draws=draws, **how)
    return Check(
        name,
        f"{type(sampler).__name__} gives Kaufman's energy and specific heat, "
        + "; ".join(f"{r} x {c} at T = {T}, J = {J:g}" for r, c, T, J in systems)
        + ".",
        run,
        (
            Mutant("beta and temperature swapped", partial(run, swap=True)),
            Mutant("every bond counted twice", partial(run, double=True)),
        ),
    )


# --- the double well ------------------------------------------------------------------------------


def _ula(model: DoubleWell, beta: float, eta: float, n: int, seed: int) -> np.ndarray:
    """Langevin moves without accept/reject, the same target; (chain, 1)."""
    rng = np.random.default_rng(seed)
    arrays: Any = model.arrays
    b, x0, tilt = arrays.barrier, arrays.minimum, arrays.tilt
    x = rng.normal(size=n)
    for _ in range(300):
        gradient = 4 * b * x / x0**2 * ((x / x0) ** 2 - 1) + tilt
        x = np.clip(x - eta * beta * gradient + np.sqrt(2 * eta) * rng.normal(size=n), -4, 4)
    return x[:, None]


@lru_cache(maxsize=8)
def _well_moments(beta: float, tilt: float) -> tuple[float, ...]:
    well = DoubleWell(barrier=1.5, tilt=tilt)

    def u(x: Any) -> Any:
        return well.reduced_energy(x[:, None], beta)

    functions = (lambda x: x, lambda x: x**2, lambda x: well.energy(x[:, None]))
    return tuple(float(quadrature.mean(u, f, -6.0, 6.0).value) for f in functions)


def _double_well(
    seed: int, scale: int, *, tilt: float = 0.4, hotter: float = 1.0, adjust: bool = True
) -> list[Measurement]:
    found = []
    # From the origin: far out, where the force grows as x^3, every proposal overshoots and is
    # rejected. The warm-up fits each chain's step to where it has been; 200 moves at fixed steps
    # forget that.
    for beta in (0.7, 1.2):
        model = DoubleWell(barrier=1.5, tilt=tilt)
        name = f"beta = {beta}"
        n, stream = 20_000 * scale, derive_seed(seed, name)
        if adjust:
            chain = sample(
                model, MALA(step_size=0.15), beta=hotter * beta, n_chains=n, n_draws=1,
                burn_in=200, thin=200, start="ordered", rng=stream, progress=False,
            )  # fmt: skip
            x = chain.final.x
        else:
            x = _ula(model, beta, 0.1, n, stream)
        values = (x[:, 0], x[:, 0] ** 2, DoubleWell(barrier=1.5, tilt=0.4).energy(x))
        exact = _well_moments(beta, 0.4)
        for label, series, answer in zip(("<x>", "<x^2>", "<E>"), values, exact, strict=True):
            found.append(against(f"{label}, {name}", mean(series[:, None]), answer))
    return found


# --- kernels that must agree bit for bit ----------------------------------------------------------


def _twins(seed: int, scale: int, *, slip: float = 0.0) -> list[Measurement]:
    found = []
    for rows, columns, J, h in [(8, 6, 1.0, 0.0), (4, 10, -0.7, 0.3)]:
        model = Ising(lattices.square(rows, columns), J, h)
        generic = Model(model.space, model.arrays, model.lattice)  # no longer known as a torus
        sampler = HeatBath()
        state = sampler.init(model, 16, seed)
        beta = np.full(16, 0.45)
        whole, _ = sampler.advance(model, state, beta, 60)
        other, _ = sampler.advance(generic, state, beta + slip, 60)
        apart = int((whole.x != other.x).sum())
        name = f"{rows} x {columns}, J = {J:g}, h = {h:g}"
        found.append(
            identity(f"spins apart, torus and generic, {name}", apart, 0, 0.5, whole.x.size)
        )
        half, _ = sampler.advance(model, state, beta, 23)
        resumed, _ = sampler.advance(model, half, beta + slip, 37)
        apart = int((whole.x != resumed.x).sum())
        found.append(
            identity(f"spins apart, stopped and resumed, {name}", apart, 0, 0.5, whole.x.size)
        )
    return found


CHECKS = (
    _kaufman_check(
        "samplers.heat-bath-kaufman",
        HeatBath(),
        ((12, 12, 3.0, 1.0), (10, 14, 2.8, -1.0)),
        draws=500,
        thin=2,
    ),
    _kaufman_check(
        "samplers.swendsen-wang-kaufman",
        SwendsenWang(),
        ((24, 24, 2.269185314213, 1.0), (12, 20, 2.0, 1.0), (14, 10, 2.5, -1.0)),
        draws=250,
    ),
    _kaufman_check(
        "samplers.wolff-kaufman",
        Wolff(),
        ((20, 20, 2.269185314213, 1.0), (9, 15, 2.2, 1.0), (10, 14, 1.9, -1.0)),
        draws=300,
        thin=2,
    ),
    Check(
        "samplers.double-well",
        "MALA meets quadrature: <x>, <x^2> and <E> of the tilted double well, exact at any step "
        "(Roberts, Tweedie 1996).",
        _double_well,
        (
            Mutant("accept/reject left out", partial(_double_well, adjust=False)),
            Mutant("beta forgotten (noise sqrt(eta))", partial(_double_well, hotter=2.0)),
            Mutant("wrong sign of the tilt", partial(_double_well, tilt=-0.4)),
        ),
    ),
    Check(
        "samplers.twins",
        "Heat bath takes the same decisions in the square-lattice twin and the generic kernel, in "
        "one run or resumed.",
        _twins,
        (Mutant("beta off by 0.02 in one of them", partial(_twins, slip=0.02)),),
    ),
)
