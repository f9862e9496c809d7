"""The same seed, the same bits: threads, stops, kernels, JIT on and off, edited model files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from run_samplers import digest, digests, runs

from statmech_ml import lattices
from statmech_ml._rng import LOCAL, word_at
from statmech_ml.models import Ising
from statmech_ml.samplers import HeatBath, base
from statmech_ml.samplers._cpu import local
from statmech_ml.systems import Model

RUNS = runs()
BETA = np.linspace(0.2, 0.9, 5)
NAMES = pytest.mark.parametrize("name", RUNS)


def python(*arguments, **environment):
    """Standard output of a Python process of its own."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def reference():
    """The digests of this process, on one thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "thread_count", lambda: 1)
        return digests()


def test_two_processes_agree_on_two_threads_and_on_one(reference):
    script = Path(__file__).with_name("run_samplers.py")
    assert json.loads(python(script, 2, NUMBA_NUM_THREADS="2")) == reference


def test_the_plain_python_run_is_the_compiled_one_bit_for_bit(reference):
    script = Path(__file__).with_name("run_samplers.py")
    plain = json.loads(python("-W", "error", script, NUMBA_DISABLE_JIT="1"))
    assert plain == reference


@NAMES
def test_a_run_stopped_at_any_sweep_continues_bit_for_bit(name):
    sampler, model = RUNS[name]
    start = sampler.init(model, 5, seed=77)
    whole, _ = sampler.advance(model, start, BETA, 12)
    for stop in range(13):
        part, _ = sampler.advance(model, start, BETA, stop)
        rest, _ = sampler.advance(model, part, BETA, 12 - stop)
        assert digest(rest.x) == digest(whole.x)
        assert rest.sweep == whole.sweep == 12
    assert digest(start.x) == digest(sampler.init(model, 5, seed=77).x)  # the input is kept


@NAMES
def test_threads_change_nothing(name, monkeypatch):
    sampler, model = RUNS[name]
    start = sampler.init(model, 5, seed=5)
    alone, _ = sampler.advance(model, start, BETA, 10)
    monkeypatch.setattr(base, "_WORTH_THREADS", 0)
    monkeypatch.setattr(base, "thread_count", lambda: 3)
    together, _ = sampler.advance(model, start, BETA, 10)
    assert digest(alone.x) == digest(together.x)


@NAMES
def test_a_chain_does_not_depend_on_its_company(name):
    sampler, model = RUNS[name]
    if name.startswith("block"):
        pytest.skip("matrix products promise bits for a fixed batch only")
    start = sampler.init(model, 5, seed=9)
    together, _ = sampler.advance(model, start, BETA, 8)
    for c in range(5):
        alone = start._replace(x=start.x[c : c + 1], chains=start.chains[c : c + 1])
        alone, _ = sampler.advance(model, alone, BETA[c : c + 1], 8)
        assert digest(alone.x[0]) == digest(together.x[c])


@NAMES
def test_seeds_chains_and_sweeps_far_out_are_as_good(name):
    """Large sweep numbers and seeds, and different seeds give different runs."""
    sampler, model = RUNS[name]
    start = sampler.init(model, 5, seed=2**64 - 1)
    far = start._replace(sweep=2**40 - 20, chains=start.chains + np.uint32(2**32 - 10))
    whole, _ = sampler.advance(model, far, BETA, 10)
    near, _ = sampler.advance(model, start, BETA, 10)
    assert digest(whole.x) != digest(near.x)
    half, _ = sampler.advance(model, far, BETA, 4)
    half, _ = sampler.advance(model, half, BETA, 6)
    assert digest(half.x) == digest(whole.x)


@pytest.mark.parametrize("sides", [(2, 2), (2, 8), (6, 4), (4, 6), (64, 62), (130, 128)])
@pytest.mark.parametrize(("coupling", "field"), [(1.0, 0.0), (-0.7, 0.3)])
def test_all_kernels_of_the_heat_bath_take_the_same_decisions(sides, coupling, field):
    """The torus twin and the generic table by the same thresholds, and the general kernel.

    The general kernel compares 53 bits with a rounded logistic function instead of 64 with a
    rounded threshold: it differs once in some 2^50 decisions, of which there are 10^6 here.
    """
    model = Ising(lattices.square(*sides), coupling, field)
    generic = Model(model.space, model.arrays, model.lattice)
    start = HeatBath().init(model, 3, seed=31)
    beta = np.array([0.0, 0.44, 1.2])
    twin, _ = HeatBath().advance(model, start, beta, 20)
    table, _ = HeatBath().advance(generic, start, beta, 20)
    assert np.array_equal(twin.x, table.x)
    x, schedule = start.x.copy(), model.schedule
    local.heat_bath(
        model.arrays, x, beta, model.space.values, schedule.order, schedule.starts,
        start.chains, np.uint64(start.seed), 0, 20, *np.empty((2, 2048), np.uint32),
    )  # fmt: skip
    assert np.array_equal(twin.x, x)


def test_ties_of_the_high_words_are_decided_by_the_low_ones():
    """Once in 2^32 decisions: here a threshold is given the very word that it will meet."""
    model = Ising(lattices.square(16))
    start = HeatBath().init(model, 1, seed=3)
    schedule = model.schedule
    word = np.uint32(word_at(np.uint64(3), np.uint32(0), 0, LOCAL, 0, 0))
    for low, spin in [(0, -1), (2**32 - 1, 1)]:
        x = start.x.copy()
        high = np.full((1, 9), word, np.uint32)
        local.heat_bath_tabulated(
            model.arrays, x, high, np.full((1, 9), low, np.uint32), model.space.values,
            schedule.order, schedule.starts, start.chains, np.uint64(3), 0, 1,
            np.empty(2048, np.uint32),
        )  # fmt: skip
        assert x[0, schedule.order[0]] == spin


# --- a user's file, edited between two processes --------------------------------------------------

USER_MODEL = """
from typing import NamedTuple
import numpy as np
from statmech_ml.spaces import Spins
from statmech_ml.systems import Model

class Mine(NamedTuple):
    strength: float

    def energy(self, x):
        total = 0.0
        for i in range(x.shape[0]):
            total += SIGN * self.strength * x[i]
        return total

    def delta_energy(self, x, site, value):
        return SIGN * self.strength * (value - x[site])

def model():
    return Model(Spins(4), Mine(1.0))
"""
USE = """
import sys, time, numpy as np
sys.path.insert(0, sys.argv[1])
import mine
from statmech_ml import sample, systems
chain = sample(mine.model(), beta=5.0, n_chains=2, n_draws=3, burn_in=5, rng=1)
hits = sum(sum(k.stats.cache_hits.values()) for k in systems._energies._compiled.values())
print(int(chain.states[0, -1, 0]), float(chain.energy[0, -1]), hits)
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One cache for all: what is in it of the package itself need not be compiled again."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def source(tmp_path):
    """The user's file; no two tests have the same one, or the second would find it compiled."""
    return f"{USER_MODEL}# {tmp_path}\n"


def write(path, text, age=10.0):
    """A file that is some seconds old, as files that people import usually are."""
    path.write_text(text)
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))


def test_an_edited_model_file_is_compiled_anew(tmp_path, cache, source):
    file = tmp_path / "mine.py"
    write(file, source.replace("SIGN", "1.0"))
    assert python("-c", USE, tmp_path, XDG_CACHE_HOME=cache).split() == ["-1", "-4.0", "0"]
    spin, energy, hits = python("-c", USE, tmp_path, XDG_CACHE_HOME=cache).split()
    assert (spin, energy) == ("-1", "-4.0")
    warm = int(hits) > 0
    write(file, source.replace("SIGN", "-1.0"))
    assert python("-c", USE, tmp_path, XDG_CACHE_HOME=cache).split() == ["1", "-4.0", "0"]
    if not sources_are_new():
        assert warm, "the second process should have found the compiled kernels"


def sources_are_new() -> bool:
    """Whether somebody edited the package seconds ago, so that nothing is cached."""
    import time

    import statmech_ml

    files = Path(statmech_ml.__file__).parent.rglob("*.py")
    return max(f.stat().st_mtime for f in files) > time.time() - 120


@pytest.mark.slow  # two more processes that compile; edits are the common case
def test_a_file_edited_after_its_import_is_not_cached(tmp_path, cache, source):
    """The code is that of the old file; it must not be stored under the digest of the new one."""
    file = tmp_path / "mine.py"
    write(file, source.replace("SIGN", "1.0"))
    edit = "import pathlib, mine; p = pathlib.Path(mine.__file__); t = p.read_text()\n"
    edit += "p.write_text(t.replace('1.0 * self', '-1.0 * self'))\nfrom statmech_ml"
    late = USE.replace("import mine\nfrom statmech_ml", "import mine, statmech_ml._jit\n" + edit)
    assert late != USE
    assert python("-c", late, tmp_path, XDG_CACHE_HOME=cache).split() == ["-1", "-4.0", "0"]
    write(file, file.read_text())
    assert python("-c", USE, tmp_path, XDG_CACHE_HOME=cache).split() == ["1", "-4.0", "0"]


@pytest.mark.slow  # two more processes that compile; edits are the common case
def test_one_file_under_two_names(tmp_path, cache, source):
    """The index of numba's cache names the module of a class, which must then be importable."""
    write(tmp_path / "mine.py", source.replace("SIGN", "1.0"))
    write(tmp_path / "yours.py", source.replace("SIGN", "1.0"))
    assert python("-c", USE, tmp_path, XDG_CACHE_HOME=cache).split()[:2] == ["-1", "-4.0"]
    (tmp_path / "mine.py").unlink()
    other = USE.replace("mine", "yours")
    assert python("-c", other, tmp_path, XDG_CACHE_HOME=cache).split()[:2] == ["-1", "-4.0"]


def test_models_of_a_script_are_not_cached(tmp_path, cache, source):
    script = tmp_path / "script.py"
    body = source.replace("SIGN", "1.0") + USE.replace("import mine\n", "").replace(
        "mine.model()", "model()"
    )
    write(script, body)
    for _ in range(2):
        found = python(script, tmp_path, XDG_CACHE_HOME=cache)
        assert found.split() == ["-1", "-4.0", "0"]
