"""One temperature of a dataset: its stream, its starts, its draws and their diagnostics."""

from typing import Any

import numpy as np

from statmech_ml import sample
from statmech_ml.errors import InvalidInput, ShortChain
from statmech_ml.statistics import integrated_time, split_r_hat

from . import _layout
from ._progress import Advance
from .phases import is_staggered
from .spec import Spec

# Draws sampled at a time: progress moves inside a temperature, and only packed spins accumulate.
_PIECE = 40


def sample_temperature(
    spec: Spec, index: int, bar: Advance
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Arrays (chain, draw, ...) of one temperature, spins packed, and its diagnostics."""
    model, sampler = spec.model(), spec.kernel()
    stream = np.random.SeedSequence(spec.seed, spawn_key=(index,))
    seed = int(stream.generate_state(1, np.uint64)[0])
    state = sampler.init(model, spec.n_chains, seed, starts(spec, seed))
    beta = 1.0 / spec.temperatures[index]
    parts: dict[str, list[np.ndarray]] = {name: [] for name in _layout.series(spec)}
    for done in range(0, spec.n_draws, _PIECE):
        burn_in = spec.burn_in if done == 0 else 0
        n_draws = min(_PIECE, spec.n_draws - done)
        chain = sample(
            model, sampler, beta=beta, start=state, n_draws=n_draws, thin=spec.spacing,
            burn_in=burn_in, progress=False,
        )  # fmt: skip
        if chain.interrupted:
            raise KeyboardInterrupt
        state, states = chain.final, np.asarray(chain.states)
        magnetization = chain.observables["magnetization"]
        if spec.sampler != "swendsen-wang" and spec.field == 0:
            signs = _flips(stream, spec, done)[:, :n_draws]
            states, magnetization = states * signs[..., None], magnetization * signs
        drawn = {"energy": chain.energy, "magnetization": magnetization, **chain.info}
        for name, values in parts.items():
            values.append(_layout.pack(states) if name == "spins" else drawn[name])
        bar(burn_in + n_draws * spec.spacing)
    arrays = {name: np.concatenate(values, axis=1) for name, values in parts.items()}
    return arrays, _diagnostics(spec, arrays)


def starts(spec: Spec, seed: int) -> np.ndarray:
    """Even chains in a ground state (as far as a simple one is known), odd chains random."""
    model = spec.model()
    space: Any = model.space
    x = space.random(seed, np.arange(spec.n_chains, dtype=np.uint32))
    up = -1 if spec.field < 0 else 1  # against the field, "ordered" would be metastable
    x[::2] = np.where(spec.graph().colours == 0, 1, -1) if is_staggered(spec) else up
    return x


def _flips(stream: np.random.SeedSequence, spec: Spec, piece: int) -> np.ndarray:
    """Random signs int8 (chain, _PIECE): without a field, flipping all spins is an exact symmetry.

    Local updates would keep the sign of the magnetisation below T_c for ever, and a Wolff cluster
    nearly always turns it there, so that signs an even number of clusters apart are alike.
    Swendsen-Wang tosses a coin for every cluster and needs no help.
    """
    bits = np.random.SeedSequence(stream.entropy, spawn_key=(*stream.spawn_key, 1 + piece))
    words = bits.generate_state(-(-spec.n_chains * _PIECE // 32), np.uint32)
    flat = np.unpackbits(words.astype("<u4").view(np.uint8), count=spec.n_chains * _PIECE)
    return flat.reshape(spec.n_chains, _PIECE).view(np.int8) * np.int8(2) - np.int8(1)


def _diagnostics(spec: Spec, arrays: dict[str, np.ndarray]) -> dict[str, float]:
    energy = arrays["energy"]
    diagnostics = dict.fromkeys(("tau_int", "tau_int_stderr"), float("nan"))
    try:
        tau = integrated_time(energy)
        diagnostics = {"tau_int": tau.tau_int, "tau_int_stderr": tau.stderr}
    except ShortChain as error:
        diagnostics = {"tau_int": error.partial.tau_int, "tau_int_stderr": float("inf")}
    except InvalidInput:
        pass  # a ground state does not fluctuate: nan says so
    diagnostics["r_hat"] = r_hat(energy)
    diagnostics["r_hat_abs_magnetization"] = r_hat(np.abs(arrays["magnetization"]))
    watched = _layout.WATCHED.get(spec.sampler)
    if watched:
        diagnostics[f"mean_{watched}"] = float(arrays[watched].mean())
    return diagnostics


def r_hat(x: np.ndarray) -> float:
    """Split R-hat of a series (chain, draw); nan where nothing fluctuates or draws are too few."""
    try:
        return split_r_hat(x)
    except InvalidInput:
        return float("nan")
