"""Machines of visible and hidden units: exact means, block Gibbs, Hopfield, clamped units."""

from functools import partial
from typing import Any

import numpy as np
from scipy.special import logsumexp

from statmech_ml import sample
from statmech_ml.exact import enumeration
from statmech_ml.exact import rbm as exact_rbm
from statmech_ml.models import RBM, BoltzmannMachine, GaussianRBM, Hopfield, PottsRBM
from statmech_ml.samplers import BlockGibbs, HeatBath, Sampler
from statmech_ml.spaces import Bits, Spins
from validation.check import Check, Measurement, Mutant, derive_seed, identity
from validation.frequencies import final_states, frequencies

_EQUAL = 1e-12
_TWO_VALUED = [(v, h) for v in ("bits", "spins") for h in ("bits", "spins")]


def _machine(visible: str, hidden: str, scale: float = 0.5) -> Any:
    """Five visible and four hidden units (two normal ones), biases and weights of both signs."""
    g = np.random.default_rng(76543)
    m = 2 if hidden == "normal" else 4
    if visible == "levels":
        parts = g.normal(0, 0.5, (4, 3)), g.normal(0, 0.5, m), g.normal(0, scale, (4, 3, m))
        return PottsRBM(*parts, hidden=hidden)
    parts = g.normal(0, 0.5, 5), g.normal(0, 0.5, m), g.normal(0, scale, (5, m))
    return RBM(*parts, visible=visible, hidden=hidden)


def _boltzmann(visible: str, hidden: str) -> BoltzmannMachine:
    g = np.random.default_rng(65432)
    J = np.triu(g.normal(0, 0.5, (5, 5)), 1)
    biases = g.normal(0, 0.5, 5), g.normal(0, 0.5, 3)
    return BoltzmannMachine(
        biases[0], J + J.T, biases[1], g.normal(0, 0.5, (5, 3)), visible=visible, hidden=hidden
    )


def _hidden_states(model: Any) -> np.ndarray:
    space = Bits if model.hidden_units.name == "bits" else Spins
    return enumeration.states(space(model.n_hidden))


def _by_pairs_of_states(model: Any, beta: float) -> tuple[float, list[np.ndarray]]:
    """log Z and the means, from E(v, h) of every pair of states and nothing else."""
    v, h = enumeration.states(model.space), _hidden_states(model)
    log_w = -beta * model.joint_energy(v[:, None], h[None])
    log_z = float(logsumexp(log_w))
    p = np.exp(log_w - log_z)
    code = v.astype(float)
    if isinstance(model, PottsRBM):
        code = (v[..., None] == np.arange(model.n_levels)).reshape(len(v), -1).astype(float)
    h = h.astype(float)
    return log_z, [p.sum(axis=1) @ code, p.sum(axis=0) @ h, code.T @ p @ h]


def _moments(
    seed: int, scale: int, *, wrong_beta: bool = False, as_bits: bool = False
) -> list[Measurement]:
    found = []
    beta = 1.3
    cases = [(f"{v} over {h}", _machine(v, h)) for v, h in [*_TWO_VALUED, ("levels", "spins")]]
    cases += [(f"Boltzmann, {v} over {h}", _boltzmann(v, h)) for v, h in _TWO_VALUED]
    for name, model in cases:
        log_z, means = _by_pairs_of_states(model, beta)
        asked = model
        if as_bits and type(model) is RBM:
            asked = RBM(model.visible_bias, model.hidden_bias, model.weights, "bits", "bits")
        got = exact_rbm.moments(asked, 1.0 if wrong_beta else beta)
        found.append(identity(f"log Z, {name}", got.log_z, log_z, _EQUAL * 10))
        value = float(exact_rbm.log_z(asked, beta))
        found.append(identity(f"log Z by products, {name}", value, log_z, _EQUAL * 10))
        for what, one, other in zip(("v", "h", "v h"), got[1:4], means, strict=True):
            off = np.abs(one.ravel() - other.ravel()).max()
            found.append(identity(f"<{what}>, {name}: largest error", off, 0.0, _EQUAL, other.size))
    return found


def _turned(seed: int, scale: int, *, slip: float = 1.0) -> list[Measurement]:
    """Spins below normal units, and normal units above spins: one machine, summed two ways."""
    model, found = _machine("spins", "normal"), []
    b = slip * model.hidden_bias
    turned = GaussianRBM(b, model.visible_bias, model.weights.T, hidden="spins")
    for beta in (0.4, 1.0, 1.9):
        one, other = exact_rbm.moments(model, beta), exact_rbm.moments(turned, beta)
        value = other.log_z + 0.5 * beta * float(b @ b)
        found.append(identity(f"log Z, beta = {beta}", value, one.log_z, _EQUAL * 10))
        pairs = ((one.visible, other.hidden), (one.hidden, other.visible))
        for what, (x, y) in zip(("spins", "normal units"), pairs, strict=True):
            off = np.abs(x - y).max()
            found.append(identity(f"<{what}>, beta = {beta}", off, 0.0, _EQUAL * 10, x.size))
        off = np.abs(one.product - other.product.T).max()
        found.append(identity(f"<v h>, beta = {beta}", off, 0.0, _EQUAL * 10, one.product.size))
    return found


class _OddsOfBits(RBM):
    """Mutant: spins drawn with the log-odds of bits."""

    def hidden_logits(self, v: np.ndarray, beta: Any, dtype: Any = np.float64) -> np.ndarray:
        return super().hidden_logits(v, 0.5 * beta, dtype)

    def visible_logits(self, h: np.ndarray, beta: Any, dtype: Any = np.float64) -> np.ndarray:
        return super().visible_logits(h, 0.5 * beta, dtype)


def _kinds(seed: int, scale: int, *, odds_of_bits: bool = False) -> list[Measurement]:
    found = []
    cases = [("spins", "spins"), ("bits", "spins"), ("spins", "normal"), ("levels", "bits")]
    for visible, hidden in cases:
        model = _machine(visible, hidden, 0.3)
        sampled = model
        if odds_of_bits and visible == hidden == "spins":
            sampled = _OddsOfBits(model.visible_bias, model.hidden_bias, model.weights)
        name, beta = f"{visible} over {hidden}", 0.7
        x = final_states(
            sampled,
            BlockGibbs(),
            beta=beta,
            n_chains=10_000 * scale,
            sweeps=30,
            seed=derive_seed(seed, name),
        )
        law = enumeration.distribution(model, beta)
        found.append(frequencies(f"P(v), {name}", model.space.index(x), law))
    return found


def _network() -> Hopfield:
    return Hopfield(np.where(np.random.default_rng(54321).normal(size=(3, 8)) > 0, 1, -1))


def _twin(seed: int, scale: int, *, mistake: str = "") -> list[Measurement]:
    network, found = _network(), []
    twin = network.rbm()
    if mistake == "weights xi / N":
        twin = RBM(twin.visible_bias, twin.hidden_bias, network.patterns.T / 8, "spins", "normal")
    s = enumeration.states(network.space)
    for beta in (0.3, 1.0, 2.2):
        constant = 0.5 * network.n_patterns * np.log(2.0 * np.pi / beta)
        if mistake == "constant lost":
            constant = 0.0
        off = np.abs(twin.reduced_energy(s, beta) + constant - network.reduced_energy(s, beta))
        found.append(identity(f"F_beta(s), beta = {beta}", off.max(), 0.0, 1e-10, len(s)))
    beta = 1.1
    law = enumeration.distribution(network, beta)
    runs: list[tuple[str, Any, Sampler]] = [
        ("network, heat bath", network, HeatBath()),
        ("twin, block Gibbs", twin, BlockGibbs()),
    ]
    for name, model, sampler in runs:
        x = final_states(
            model,
            sampler,
            beta=beta,
            n_chains=5_000 * scale,
            sweeps=60,
            seed=derive_seed(seed, name),
        )
        found.append(frequencies(f"P(s), {name}", network.space.index(x), law))
    return found


def _clamped(seed: int, scale: int, *, mistake: str = "") -> list[Measurement]:
    """Visible units 0 and 3 held: by Bayes from the whole law, by the smaller machine, by moves."""
    found = []
    for visible, hidden in (("spins", "bits"), ("levels", "spins")):
        model, beta, sites = _machine(visible, hidden), 0.8, np.array([0, 3])
        name = f"{visible} over {hidden}"
        values = np.array([1, 0] if visible == "levels" else [1, -1])
        rest = np.setdiff1d(np.arange(model.n_visible), sites)
        states = enumeration.states(model.space)
        fits = (states[:, sites] == values).all(axis=1)
        given = model.condition(sites, values)
        if mistake == "unmoved hidden biases":
            kind = {"hidden": hidden} | ({} if visible == "levels" else {"visible": visible})
            given = type(model)(given.visible_bias, model.hidden_bias, given.weights, **kind)
        law = np.zeros(given.space.n_states)
        law[given.space.index(states[fits][:, rest])] = enumeration.distribution(model, beta)[fits]
        law /= law.sum()
        off = np.abs(enumeration.distribution(given, beta) - law).max()
        found.append(identity(f"P(free), {name}: largest error", off, 0.0, _EQUAL, len(law)))
        mask = np.zeros(model.n_visible, bool)
        mask[sites] = mistake != "mask ignored"
        start = np.full(model.n_visible, values[1], np.int8)
        start[sites] = values
        chain = sample(
            model,
            BlockGibbs(clamped=mask),
            beta=beta,
            n_chains=10_000 * scale,
            n_draws=1,
            burn_in=30,
            start=start,
            rng=derive_seed(seed, name),
            keep_states=False,
            progress=False,
        )
        free = given.space.index(chain.final.x[:, rest])
        found.append(frequencies(f"P(free), {name}, clamped", free, law))
    return found


CHECKS = (
    Check(
        "energy-models.moments",
        "log Z, <v>, <h> and <v h> of machines of bits, spins and levels, with couplings or "
        "without, equal the sum over all pairs of states to 1e-12.",
        _moments,
        (
            Mutant("moments at beta = 1", partial(_moments, wrong_beta=True)),
            Mutant("spins summed as bits", partial(_moments, as_bits=True)),
        ),
    ),
    Check(
        "energy-models.normal-layers",
        "Spins below normal hidden units are spins above normal visible ones: log Z up to "
        "beta b.b / 2 and all means, from sums over different layers.",
        _turned,
        (Mutant("biases of normal units 1% off", partial(_turned, slip=1.01)),),
    ),
    Check(
        "energy-models.block-gibbs",
        "Block Gibbs between spins, bits, normal units and levels visits v with probability "
        "exp(-F_beta(v)) / Z.",
        _kinds,
        (Mutant("log-odds of bits for spins", partial(_kinds, odds_of_bits=True)),),
    ),
    Check(
        "energy-models.hopfield-twin",
        "A Hopfield network and its RBM of normal hidden units, weights xi / sqrt(N), have one law "
        "at every beta: F_beta = beta E - (P / 2) log(2 pi / beta).",
        _twin,
        (
            Mutant("weights xi / N", partial(_twin, mistake="weights xi / N")),
            Mutant("constant lost", partial(_twin, mistake="constant lost")),
        ),
    ),
    Check(
        "energy-models.clamped",
        "Clamped block Gibbs, and the machine of the free units, have the conditional law "
        "P(free | clamped).",
        _clamped,
        (
            Mutant("mask ignored", partial(_clamped, mistake="mask ignored")),
            Mutant("unmoved hidden biases", partial(_clamped, mistake="unmoved hidden biases")),
        ),
    ),
)
