"""One task: train a model (or take a control), draw samples, and judge them."""

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from . import classifier
from .answers import Answers, answers, combined_z, law
from .data import Data, load
from .fingerprint import fingerprint
from .jobs import Bits, Job, Trained
from .learners import LEARNERS
from .observables import measure
from .plan import WRONG, Task

SNAPSHOTS = 8
"""Samples that are kept, to be looked at."""

TITLES = {"exact": "exact data", "wrong-T": f"{WRONG:g} T data"}


def title(model: str) -> str:
    """Of a row."""
    return TITLES.get(model) or LEARNERS[model].title


def run(task: Task, folder: Path, device: str = "cpu") -> dict[str, Any]:
    """The result of a task, as it stands in the JSON file; data and checkpoints go to `folder`."""
    began = time.perf_counter()
    data = load(task, folder)
    shared = replace(task, model="data")  # one reference run for all models
    truth = answers(task.size, task.temperature, seed=shared.seed_for("answers"))
    epochs, networks, cpu = 0, False, time.process_time()
    if task.model in LEARNERS:
        learner = LEARNERS[task.model]
        epochs, networks = learner.epochs(task), learner.networks
        checkpoint = folder / f"{task.name}.safetensors"
        trained = learner.learn(Job(task, data.train, epochs, checkpoint, device))
    else:
        trained = _control(task, data)
    cpu = time.process_time() - cpu
    drawing = time.perf_counter()
    samples = trained.sample(task.n_judged, task.seed_for("samples"))
    drawing = time.perf_counter() - drawing
    return {
        "task": task.to_json(),
        "title": title(task.model),
        "parameters": trained.n_parameters,
        "epochs": epochs,
        "bits": bits_above_entropy(trained, data.held_out, truth, task.seed_for("likelihood")),
        "classifier": classifier.tell_apart(samples, data.fresh, task.seed_for("classifier")),
        "observables": scores(samples, truth),
        "notes": trained.notes,
        "snapshots": ["".join("+" if s > 0 else "-" for s in x) for x in samples[:SNAPSHOTS]],
        "seconds": {
            "training": round(trained.seconds, 2),
            "training, of the processor": round(cpu, 2) if epochs else 0.0,
            "sampling": round(drawing, 2),
            "all": round(time.perf_counter() - began, 2),
        },
        "device": device if networks else "cpu",
        "learner": fingerprint(task),
    }


def scores(samples: np.ndarray, truth: Answers) -> dict[str, dict[str, Any]]:
    """Each quantity beside what is true: relative error, and z at this number of samples.

    The relative error counts in units of the exact value's size, so that "too high" means greater
    (energies are negative). `None` where there is no number: the z of a quantity that never varies,
    and what is relative to zero.
    """
    found = {}
    for name, estimate in measure(samples, truth.temperature).items():
        exact = truth.values[name]
        row: dict[str, Any] = {"exact": exact.value, "exact_stderr": exact.stderr}
        row["source"] = exact.source
        if estimate is None:
            found[name] = row | dict.fromkeys(
                ("value", "stderr", "relative", "relative_stderr", "z")
            )
            continue
        size = abs(exact.value)
        error = float(np.hypot(estimate.stderr, exact.stderr))
        found[name] = row | {
            "value": estimate.value,
            "stderr": estimate.stderr,
            "relative": (estimate.value - exact.value) / size if size else None,
            "relative_stderr": error / size if size else None,
            "z": combined_z(estimate.value, estimate.stderr, exact) if estimate.stderr else None,
        }
    return found


def bits_above_entropy(
    trained: Trained, x: np.ndarray, truth: Answers, seed: int
) -> dict[str, Any] | None:
    """Bits per spin above the entropy, on held-out configurations x (n, L * L).

    log p_exact is known of each configuration (Kaufman) and fluctuates with the model's log p, so
    the mean of the difference has a small error; it is KL(data || model) / (N log 2). It is not
    finite, and has no error, for a model that gives a held-out configuration probability 0.
    """
    if trained.log_likelihood is None:
        return None
    found = trained.log_likelihood(x, seed)
    k, unit = len(found.values), x.shape[1] * np.log(2.0)
    excess = (truth.log_prob(x[:k]) - found.values) / unit
    finite = bool(np.isfinite(excess).all())
    spread = excess.std(ddof=1) if finite else math.nan
    stderr = float(np.hypot(spread / k**0.5, found.common / unit))
    return {
        "above_entropy": float(excess.mean()),
        "stderr": stderr,
        "kind": found.kind,
        "method": found.method,
        "entropy": truth.entropy / float(np.log(2.0)),
        "n": k,
    }


def _control(task: Task, data: Data) -> Trained:
    """Data in the place of samples: of the right temperature, or of the wrong one."""
    right = task.model == "exact"
    temperature = task.temperature * (1.0 if right else WRONG)
    drawn = data.control if right else data.wrong
    truth = law(task.size, temperature)

    def log_likelihood(x: np.ndarray, seed: int) -> Bits:
        return Bits(truth.log_prob(x), "exact", "Kaufman")

    return Trained(lambda n, seed: drawn[:n], log_likelihood, 0, 0.0)
