"""`Spec`: everything that determines a dataset, and nothing else.

Two equal specs give byte-identical stores, so a spec holds neither paths nor threads nor dates.
What is left out is chosen when the spec is made and recorded in it: reading a store never depends
on defaults.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.models import Ising
from statmech_ml.samplers import HeatBath, Metropolis, Sampler, SwendsenWang, Wolff

from . import _fields

AXES = {"chain": 1, "square": 2, "triangular": 2, "honeycomb": 2, "cubic": 3}
"""Lattices by name, and how many sides each has."""

SAMPLERS: dict[str, type[Sampler]] = {
    "swendsen-wang": SwendsenWang,
    "wolff": Wolff,
    "heat-bath": HeatBath,
    "metropolis": Metropolis,
}
LOCAL = ("heat-bath", "metropolis")


@dataclass(frozen=True)
class Spec:
    """A labelled dataset of Ising configurations, E = -J sum_<ij> s_i s_j - h sum_i s_i.

    Parameters
    ----------
    lattice : "chain", "square", "triangular", "honeycomb" or "cubic"
    size : int or tuple of int
        Sides in cells; one number serves all sides.
    temperatures : float, sequence of float, or str
        In units of the coupling, k_B = 1. As text ``"1.6:3.2:0.1"`` (both ends included) or
        ``"1.6, 2.0, 2.269"``, or both mixed.
    samples : int
        Configurations per temperature, all chains together; a multiple of `n_chains`.
    seed : int
    coupling, field : float
        J (positive for ferromagnets) and h.
    boundary : "periodic", "open", or one of them per side
    n_chains : int
        Independent chains per temperature, an even number: every other one starts ordered, the rest
        random, so that R-hat compares the two.
    sampler : str, optional
        "swendsen-wang" (default where clusters may be flipped freely), "wolff", "heat-bath"
        (default elsewhere) or "metropolis".
    spacing : int, optional
        Sweeps between kept configurations. Default: 10 for Swendsen-Wang (about two autocorrelation
        times at T_c for L = 32, more elsewhere), one Wolff cluster per eight sites, 20 local
        sweeps.
    burn_in : int, optional
        Sweeps discarded at each temperature. Default: 20 spacings; local updates take L^2 sweeps to
        order a random start, so they get max(1000, 2 L^2).

    Raises
    ------
    InvalidInput
        For whatever cannot work, before anything is written.

    >>> spec = Spec("square", 32, "2.2:2.4:0.1", samples=100, seed=1)
    >>> spec.temperatures, spec.sampler, Spec.from_json(spec.to_json()) == spec
    ((2.2, 2.3, 2.4), 'swendsen-wang', True)
    """

    lattice: str
    size: Any
    temperatures: Any
    samples: int
    seed: int
    coupling: float = 1.0
    field: float = 0.0
    boundary: Any = "periodic"
    n_chains: int = 4
    sampler: Any = None
    spacing: Any = None
    burn_in: Any = None

    def __post_init__(self) -> None:
        def settle(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        if self.lattice not in AXES:
            raise InvalidInput(f"lattice={self.lattice!r} is unknown. There are {', '.join(AXES)}.")
        settle("size", _fields.sides_of(self.size, self.lattice, AXES[self.lattice]))
        settle("boundary", _fields.boundaries_of(self.boundary, len(self.size)))
        settle("temperatures", _fields.temperatures_of(self.temperatures))
        for name, least in [("samples", 1), ("n_chains", 2), ("seed", 0)]:
            settle(name, _fields.whole(getattr(self, name), name, least))
        if self.n_chains % 2:
            raise InvalidInput(
                f"n_chains={self.n_chains} is odd, but half of the chains start ordered and half "
                "random. Give an even number."
            )
        if self.samples % self.n_chains:
            near = max(1, round(self.samples / self.n_chains)) * self.n_chains
            raise InvalidInput(
                f"samples={self.samples} cannot be shared equally by {self.n_chains} chains. Give "
                f"a multiple, {near} say, or another number of chains."
            )
        for name in ("coupling", "field"):
            settle(name, _fields.number(getattr(self, name), name))
        model = self.model()
        graph = self.graph()
        largest = abs(self.coupling) * graph.n_bonds + abs(self.field) * graph.n_sites
        coldest = min(self.temperatures)
        if not math.isfinite(max(1.0, largest) / coldest):
            raise InvalidInput(
                f"temperatures holds {coldest!r}, which is too cold: energies reach {largest:g}, "
                "and divided by that temperature they are larger than any double. Give a "
                "temperature of the order of the coupling; 0.01 of it is a ground state already."
            )
        if self.sampler is None:
            settle("sampler", "heat-bath" if model.cluster_obstacle else "swendsen-wang")
        if self.sampler not in SAMPLERS:
            raise InvalidInput(
                f"sampler={self.sampler!r} is unknown. There are {', '.join(SAMPLERS)}."
            )
        self.kernel().check(model)
        sites = model.space.size
        spacing = {"swendsen-wang": 10, "wolff": max(10, sites // 8)}.get(self.sampler, 20)
        settle(
            "spacing",
            _fields.whole(spacing if self.spacing is None else self.spacing, "spacing", 1),
        )
        burn_in = 20 * self.spacing
        if self.sampler in LOCAL:
            burn_in = max(1000, burn_in, 2 * max(self.size) ** 2)
        settle(
            "burn_in",
            _fields.whole(burn_in if self.burn_in is None else self.burn_in, "burn_in", 0),
        )

    @property
    def n_draws(self) -> int:
        """Configurations kept per chain."""
        return int(self.samples) // int(self.n_chains)

    @property
    def sweeps(self) -> int:
        """Sweeps of each chain, burn-in included."""
        return int(self.burn_in) + self.n_draws * int(self.spacing)

    def graph(self) -> lattices.Lattice:
        """The lattice itself."""
        build: Any = getattr(lattices, self.lattice)
        boundary = self.boundary[0] if self.lattice == "chain" else self.boundary
        return build(*self.size, boundary=boundary)

    def model(self) -> Ising:
        """The Ising model on it."""
        return Ising(self.graph(), coupling=self.coupling, field=self.field)

    def kernel(self) -> Sampler:
        """The sampler with its settings."""
        return SAMPLERS[self.sampler]()

    def to_json(self) -> str:
        """Canonical JSON: equal specs give equal text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Spec":
        """The spec that `to_json` wrote. Raises InvalidInput for anything else."""
        try:
            given = json.loads(text)
        except ValueError as error:
            raise InvalidInput(f"The spec is not valid JSON: {error}.") from error
        known = {f.name for f in fields(cls)}
        if not isinstance(given, dict) or set(given) - known:
            extra = sorted(set(given) - known) if isinstance(given, dict) else type(given).__name__
            raise InvalidInput(
                f"A spec is a JSON object of {', '.join(sorted(known))}; got {extra}."
            )
        settings: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in given.items()
        }
        try:
            return cls(**settings)
        except TypeError as error:
            raise InvalidInput(f"The spec is incomplete: {error}.") from error

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def differences(self, other: "Spec") -> list[str]:
        """Fields in which two specs differ, as ``name: mine -> other's``."""
        return [
            f"{f.name}: {getattr(self, f.name)!r} -> {getattr(other, f.name)!r}"
            for f in fields(self)
            if getattr(self, f.name) != getattr(other, f.name)
        ]
