"""Compiled functions: one overload for all models, compiled once per class, cached where safe."""

import os
import subprocess
import sys
import threading
from typing import NamedTuple

import numba
import numpy as np
import pytest

from statmech_ml import _jit, systems
from statmech_ml._jit import capability, kernel


class Square(NamedTuple):
    side: float

    def area(self, scale):
        return scale * self.side * self.side

    def double(self, scale):
        return 2.0 * self.area(scale)


class Circle(NamedTuple):
    radius: float

    def area(self, scale):
        return scale * 3.0 * self.radius


class Point(NamedTuple):
    x: float


class Pair(NamedTuple):
    first: Square
    count: int


@capability
def area(model, scale):
    """The default: nothing."""
    return -scale


@kernel
def _areas(model, scales, out):
    for i in range(out.shape[0]):
        out[i] = area(model, scales[i])


@kernel
def _inner(model, out):
    out[0] = area(model.first, 1.0) * model.count


SCALES = np.array([1.0, 2.5])


@pytest.mark.parametrize(
    ("model", "expected"),
    [(Square(2.0), [4.0, 10.0]), (Circle(2.0), [6.0, 15.0]), (Point(1.0), [-1.0, -2.5])],
)
def test_a_kernel_reaches_the_method_of_each_class_or_the_default(model, expected):
    compiled, plain = np.zeros(2), np.zeros(2)
    _areas(model, SCALES, compiled)
    _areas.py_func(model, SCALES, plain)
    assert compiled.tolist() == plain.tolist() == expected == [area(model, s) for s in SCALES]


def test_models_hold_models():
    out = np.zeros(1)
    _inner(Pair(Square(3.0), 2), out)
    assert out[0] == 18.0


def test_a_model_may_call_a_capability_of_its_own():
    @capability
    def double(model, scale):
        return 0.0

    @kernel
    def run(model, out):
        out[0] = double(model, 1.0)

    out = np.zeros(1)
    run(Square(2.0), out)
    assert out[0] == 8.0 == double(Square(2.0), 1.0)


def test_kernels_are_compiled_once_per_class():
    run = kernel(_areas.py_func)
    out = np.zeros(2)
    for model in (Square(1.0), Square(2.0), Circle(1.0), Square(3.0)):
        run(model, SCALES, out)
    assert len(run._compiled) == 2
    assert sum(len(compiled.signatures) for compiled in run._compiled.values()) == 2


def test_models_of_the_package_share_one_entry():
    from statmech_ml import lattices
    from statmech_ml.models import DoubleWell, Ising

    arrays = Ising(lattices.chain(4)).arrays
    assert _jit._foreign_classes(arrays) == frozenset()
    assert _jit._foreign_classes(DoubleWell().arrays) == frozenset()
    assert _jit._foreign_classes(Square(1.0)) == {Square}
    assert _jit._foreign_classes(Pair(Square(1.0), 1)) == {Pair, Square}
    assert _jit._foreign_classes(np.zeros(3)) == frozenset()
    assert systems._energies._compiled is not None


def test_a_class_that_was_defined_anew_is_compiled_anew():
    """As after importlib.reload: same module, same name, other physics."""

    def make(factor):
        class Shape(NamedTuple):
            side: float

            def area(self, scale):
                return factor * self.side * scale

        return Shape(2.0)

    run, out = kernel(_areas.py_func), np.zeros(2)
    run(make(1.0), SCALES, out)
    assert out.tolist() == [2.0, 5.0]
    run(make(-1.0), SCALES, out)
    assert out.tolist() == [-2.0, -5.0]


def test_threads_that_meet_at_the_first_call_compile_once(monkeypatch):
    made = []
    right = _jit._compile
    monkeypatch.setattr(_jit, "_compile", lambda *a: made.append(1) or right(*a))
    run = kernel(_areas.py_func)
    outs = [np.zeros(2) for _ in range(4)]
    threads = [threading.Thread(target=run, args=(Square(2.0), SCALES, out)) for out in outs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert all(out.tolist() == [4.0, 10.0] for out in outs)


def test_decorating_leaves_the_cache_directory_of_numba_alone(tmp_path):
    before = numba.config.CACHE_DIR
    with _jit._cache_directory_set(tmp_path):
        assert str(tmp_path) == numba.config.CACHE_DIR
    assert before == numba.config.CACHE_DIR


def test_a_home_that_cannot_be_written_to_costs_the_cache_only(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    out = np.zeros(2)
    kernel(_areas.py_func)(Square(2.0), SCALES, out)
    assert out.tolist() == [4.0, 10.0]


def test_the_cache_follows_the_sources(tmp_path, monkeypatch):
    sources = tmp_path / "package"
    sources.mkdir()
    (sources / "a.py").write_text("one")
    monkeypatch.setattr(_jit, "_PACKAGE", sources)
    monkeypatch.setattr(_jit, "_IMPORTED", np.inf)
    seen = set()
    for text in ("one", "two", "one"):
        (sources / "a.py").write_text(text)
        _jit._package_digest.cache_clear()
        seen.add(_jit.cache_directory())
    assert len(seen) == 2
    monkeypatch.setattr(_jit, "_IMPORTED", 0.0)
    _jit._package_digest.cache_clear()
    assert _jit.cache_directory() is None
    _jit._package_digest.cache_clear()


def test_threads_of_other_packages_are_left_alone():
    """numba's OpenMP pool, once asked for, would set torch's number of threads."""
    code = """
import numpy as np, torch
from statmech_ml import lattices, sample
from statmech_ml.models import Ising
from statmech_ml.samplers import base
base._WORTH_THREADS = 0
sample(Ising(lattices.square(4)), beta=0.4, n_draws=100, rng=1)
print(torch.get_num_threads())
"""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "1"
