"""Transition kernels against exact distributions, energies and moments."""

from functools import lru_cache, partial
from typing import Any

import numpy as np

from statmech_ml import lattices, sample
from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.exact import enumeration, kaufman, quadrature
from statmech_ml.models import DoubleWell, Ising
from statmech_ml.samplers import MALA, HeatBath, Metropolis, Sampler, SwendsenWang, Wolff
from statmech_ml.statistics import mean
from statmech_ml.systems import Model
from validation.check import Check, Measurement, Mutant, against, derive_seed, identity
from validation.frequencies import frequencies

# --- visited states: the final states of many independent chains ----------------------------------


def _glass(field: float) -> Ising:
    """Eight spins, 14 random bonds of both signs, in general frustrated."""
    g = np.random.default_rng(77)
    pairs = [(i, j) for i in range(8) for j in range(i)]
    edges = [pairs[k] for k in g.permutation(len(pairs))[:14]]
    return Ising(lattices.from_edges(edges), coupling=g.normal(size=14), field=field)


def refused(sampler: Sampler, model: Ising) -> bool:
    """Whether the sampler says that it cannot sample this model."""
    try:
        sampler.check(model)
    except (InvalidInput, MissingCapability):
        return True
    return False


def _cases(clusters: bool) -> list[tuple[str, Ising, float]]:
    """Systems of at most 12 spins where bugs show: J < 0, h != 0, odd ring, Lx != Ly, beta != 1."""
    cases = [
        ("3 x 4, J = 1.3", Ising(lattices.square(3, 4), 1.3), 0.3),
        ("4 x 2, J = -0.8", Ising(lattices.square(4, 2), -0.8), 0.4),
        ("ring of 7, J = 1", Ising(lattices.chain(7)), 0.4),
    ]
    if clusters:
        return cases
    return [
        *cases,
        ("4 x 2, J = -1, h = 0.6", Ising(lattices.square(4, 2), -1.0, 0.6), 0.35),
        ("glass, h = 0.3", _glass(0.3), 0.35),
        ("triangular 3 x 3, J = -1", Ising(lattices.triangular(3, 3), -1.0, 0.2), 0.5),
        ("ring of 5, J = -1, h = 0.35", Ising(lattices.chain(5), -1.0, 0.35), 0.5),
    ]


def _states(
    seed: int,
    scale: int,
    *,
    sampler: Sampler,
    clusters: bool = False,
    sweeps: int = 40,
    hotter: float = 1.0,
    flip: bool = False,
    cut: bool = False,
) -> list[Measurement]:
    found = []
    for name, model, beta in _cases(clusters):
        if refused(sampler, model):
            continue
        run = model
        if cut:
            couplings = np.full(model.lattice.n_bonds, model.coupling)
            couplings[0] = 0.0
            run = Ising(model.lattice, couplings)
        elif flip:  # wrong sign of the field, or of the coupling where there is no field
            sign = (1.0, -1.0) if np.any(model.field) else (-1.0, 1.0)
            run = Ising(model.lattice, sign[0] * model.coupling, sign[1] * model.field)
        last = sample(
            run, sampler, beta=hotter * beta, n_chains=scale * 20_000, n_draws=1,
            burn_in=sweeps, rng=derive_seed(seed, name), progress=False,
        )  # fmt: skip
        cells = model.space.index(last.states[:, 0])
        found.append(frequencies(name, cells, enumeration.distribution(model, beta)))
    return found


class AlwaysAccept(Metropolis):
    """Metropolis that accepts every move; the mistake is in the name."""

    def advance(self, model: Any, state: Any, beta: Any, n_sweeps: int, device: str = "cpu") -> Any:
        """Metropolis at next to infinite temperature."""
        return super().advance(model, state, np.full_like(beta, 1e-9), n_sweeps, device)


def _states_check(name: str, claim: str, sampler: Sampler, *more: Mutant, **how: Any) -> Check:
    run = partial(_states, sampler=sampler, **how)
    mutants = (
        Mutant("temperature 10% too high", partial(run, hotter=1 / 1.1)),
        Mutant("one bond lost", partial(run, cut=True))
        if how.get("clusters")
        else Mutant("wrong sign of a coupling or field", partial(run, flip=True)),
        *more,
    )
    return Check(
        name,
        f"The final states of 20,000 chains follow exp(-beta E) / Z on systems of at most 12 spins: {claim}.",
        run,
        mutants,
    )


# --- 4 x 4 torus ----------------------------------------------------------------------------------


def _histogram(seed: int, scale: int, *, sampler: Sampler, sign: float = 1.0) -> list[Measurement]:
    """The joint histogram of E and M at beta = 0.44."""
    model, n = Ising(lattices.square(4, 4)), 200_000 * scale
    x = enumeration.states(model.space)
    _, cell = np.unique(
        np.stack([model.energy(x), x.sum(axis=1, dtype=np.int64)]), axis=1, return_inverse=True
    )
    p = np.bincount(cell.ravel(), enumeration.distribution(model, 0.44))
    run = Ising(model.lattice, coupling=sign)
    last = sample(run, sampler, beta=0.44, n_chains=n, n_draws=1, burn_in=60, rng=seed, progress=False)
    return [frequencies("P(E, M)", cell.ravel()[model.space.index(last.states[:, 0])], p)]


def _all_states(seed: int, scale: int, *, sampler: Sampler, beta: float = 0.05) -> list[Measurement]:
    """All 65,536 states at beta = 0.05 from two million chains."""
    model = Ising(lattices.square(4, 4))
    cells = []
    for part in range(10 * scale):
        last = sample(
            model, sampler, beta=beta, n_chains=200_000, n_draws=1, burn_in=12,
            rng=derive_seed(seed, f"part {part}"), progress=False,
        )  # fmt: skip
        cells.append(model.space.index(last.states[:, 0]))
    p = enumeration.distribution(model, 0.05)
    return [frequencies("65,536 states", np.concatenate(cells), p)]


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
    b, x0, tilt = model.arrays.barrier, model.arrays.minimum, model.arrays.tilt
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
    for beta in (0.7, 1.6):
        model = DoubleWell(barrier=1.5, tilt=tilt)
        name = f"beta = {beta}"
        n, stream = 20_000 * scale, derive_seed(seed, name)
        if adjust:
            chain = sample(
                model, MALA(step_size=0.15), beta=hotter * beta, n_chains=n, n_draws=1,
                burn_in=300, rng=stream, progress=False,
            )  # fmt: skip
            x = chain.states[:, 0]
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
        found.append(identity(f"spins apart, torus and generic, {name}", apart, 0, 0.5, whole.x.size))
        half, _ = sampler.advance(model, state, beta, 23)
        resumed, _ = sampler.advance(model, half, beta + slip, 37)
        apart = int((whole.x != resumed.x).sum())
        found.append(identity(f"spins apart, stopped and resumed, {name}", apart, 0, 0.5, whole.x.size))
    return found


CHECKS = (
    _states_check("samplers.heat-bath-states", "HeatBath", HeatBath(), sweeps=20),
    _states_check(
        "samplers.metropolis-states",
        "Metropolis at random sites",
        Metropolis(),
        Mutant("always accept", partial(_states, sampler=AlwaysAccept())),
    ),
    _states_check(
        "samplers.checkerboard-states",
        "Metropolis by colour, where that is ergodic",
        Metropolis("checkerboard"),
        Mutant("always accept", partial(_states, sampler=AlwaysAccept("checkerboard"))),
        sweeps=25,
    ),
    _states_check("samplers.wolff-states", "Wolff", Wolff(), clusters=True, sweeps=60),
    _states_check("samplers.swendsen-wang-states", "SwendsenWang", SwendsenWang(), clusters=True),
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
        "MALA meets quadrature: <x>, <x^2> and <E> of the tilted double well, exact at any step (Roberts, Tweedie 1996).",
        _double_well,
        (
            Mutant("accept/reject left out", partial(_double_well, adjust=False)),
            Mutant("beta forgotten (noise sqrt(eta))", partial(_double_well, hotter=2.0)),
            Mutant("wrong sign of the tilt", partial(_double_well, tilt=-0.4)),
        ),
    ),
    Check(
        "samplers.twins",
        "Heat bath takes the same decisions in the square-lattice twin and the generic kernel, in one run or resumed.",
        _twins,
        (Mutant("beta off by 1e-3 in one of them", partial(_twins, slip=1e-3)),),
    ),
    Check(
        "samplers.histogram-4x4",
        "The joint histogram of E and M of the 4 x 4 torus at beta = 0.44 follows exp(-beta E) / Z.",
        partial(_histogram, sampler=SwendsenWang()),
        (Mutant("wrong sign of J", partial(_histogram, sampler=HeatBath(), sign=-1.0)),),
        tier="full",
    ),
    Check(
        "samplers.all-states-4x4",
        "All 65,536 states of the 4 x 4 torus at beta = 0.05 appear with probability exp(-beta E) / Z.",
        partial(_all_states, sampler=HeatBath()),
        (Mutant("temperature 10% too high", partial(_all_states, sampler=HeatBath(), beta=0.0455)),),
        tier="full",
    ),
)
