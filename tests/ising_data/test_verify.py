"""`verify` accepts correct datasets on every kind of system it judges, and rejects each mutant."""

import importlib
import shutil

import numpy as np
import pytest

from ising_data import Spec, generate, verify
from ising_data._exact import bound, reference
from statmech_ml.exact import kaufman, ring

GENERATE = importlib.import_module("ising_data.generate")
SAMPLING = importlib.import_module("ising_data._sampling")


def outcome(report):
    return {verdict.check: verdict.passed for verdict in report.verdicts}


def scores(report):
    compared = [c for row in report.rows for c in (row.energy, row.specific_heat)]
    return np.array([c.z for c in compared if not np.isnan(c.z)])


# --- correct datasets -----------------------------------------------------------------------------

CASES = {
    "square": Spec("square", (6, 10), (1.6, 2.3, 4.0), samples=2000, seed=0, coupling=1.5),
    "odd": Spec("square", (5, 7), (2.0, 3.0), samples=2000, seed=0),
    "antiferromagnet": Spec("square", (4, 6), (1.8, 2.5), samples=2000, seed=0, coupling=-1.0),
    "ring": Spec("chain", 24, (0.8, 2.0), samples=2000, seed=0, coupling=0.7),
    "frustrated ring": Spec("chain", 9, (0.7, 2.0), samples=2000, seed=0, coupling=-1.0),
    "ring in a field": Spec("chain", 16, (0.8, 2.0), samples=2000, seed=0, field=0.4),
    "wolff": Spec("square", 8, (2.0, 2.4), samples=2000, seed=0, sampler="wolff"),
    "cold ring in a field": Spec("chain", 16, (0.3, 0.5), samples=2000, seed=0, field=-0.4),
    "cold": Spec("square", 6, (0.5, 0.8, 1.0), samples=2000, seed=0),
}


@pytest.mark.parametrize("name", CASES)
def test_correct_datasets_pass(name, tmp_path, assert_unbiased, seed):
    import dataclasses

    def run(seed, scale):
        spec = dataclasses.replace(CASES[name], seed=seed, samples=scale * CASES[name].samples)
        report = verify(generate(spec, tmp_path / f"{seed}-{scale}.zarr").path)
        found = outcome(report)
        assert found["files"]
        assert found["labels"]
        assert found["starts"] is not False
        assert found["stripes"] is not False
        return scores(report)

    assert_unbiased(run, seed)


def test_reference_has_its_domain():
    def make(lattice, size, **changes):
        return Spec(lattice, size, 2.0, samples=4, seed=1, **changes)

    square = reference(make("square", (4, 6), coupling=1.3))
    assert square.energy[0] == kaufman.energy_per_site(4, 6, 0.5, 1.3)
    assert reference(make("chain", 7, field=0.2)).energy[0] == ring.energy_per_site(
        7, 0.5, 1.0, 0.2
    )
    for without in [
        make("square", 4, field=0.1),
        make("square", 4, boundary="open"),
        make("square", 4, boundary=("open", "periodic")),
        make("square", (4, 5), coupling=-1.0),
        make("square", 4, coupling=0.0),
        make("triangular", 4),
        make("cubic", 3),
    ]:
        assert reference(without) is None


@pytest.mark.parametrize(
    "spec",
    [
        Spec("chain", 6, (0.5, 1.0), samples=4, seed=1, coupling=J, field=h)
        for J in (0.8, -0.8)
        for h in (0.0, 0.3, -0.3, 2.0)
    ]
    + [Spec("chain", 5, (0.5, 1.0), samples=4, seed=1, coupling=-0.8, field=h) for h in (0.0, 2.0)]
    + [Spec("square", (2, 4), (0.5, 1.0), samples=4, seed=1, coupling=J) for J in (1.2, -1.2)],
    ids=lambda spec: f"{spec.lattice}{spec.size[0]}_{spec.coupling:g}_{spec.field:g}",
)
def test_probability_of_excitation_by_enumeration(spec):
    model = spec.model()
    energies = model.energy(model.space.from_index(np.arange(model.space.n_states)))
    found = reference(spec)
    assert found.ground == pytest.approx(energies.min())
    for beta, excited in zip(1 / np.array(spec.temperatures), found.excited, strict=True):
        weights = np.exp(-beta * (energies - energies.min()))
        above = energies > energies.min() + 1e-9
        assert excited == pytest.approx(weights[above].sum() / weights.sum(), rel=1e-9)


def test_no_exact_result_is_no_failure(tmp_path):
    report = verify(
        generate(Spec("triangular", 4, (3.0, 4.0), samples=400, seed=1), tmp_path / "x.zarr").path
    )
    assert outcome(report) == {
        "files": True, "labels": True, "energy": None, "specific heat": None, "starts": True,
        "stripes": True,
    }  # fmt: skip
    assert report.passed


def test_few_draws_decide_nothing(tmp_path):
    report = verify(generate(Spec("square", 4, (5.0, 6.0), samples=8, seed=1), tmp_path / "x").path)
    assert outcome(report)["energy"] is None
    assert report.passed


def test_bound_keeps_the_false_alarms_rare():
    assert bound(34)[0] == 4.0
    for n in (1, 10, 100, 1000, 100_000):
        assert bound(n)[1] <= 0.01 + 1e-12


# --- mutants --------------------------------------------------------------------------------------


@pytest.fixture
def mutate(monkeypatch, tmp_path):
    """mutate(spec, change): a dataset whose arrays went through `change` on their way."""
    real = GENERATE.sample_temperature

    def make(spec, change):
        def sampled(spec, index, bar):
            arrays, diagnostics = real(spec, index, bar)
            return change(spec, index, arrays), diagnostics

        monkeypatch.setattr(GENERATE, "sample_temperature", sampled)
        return generate(spec, tmp_path / "mutant.zarr").path

    return make


SPEC = Spec("square", 16, (1.8, 2.0, 2.6), samples=2000, seed=1)


def test_wrong_temperature_is_rejected(monkeypatch, tmp_path):
    real = SAMPLING.sample

    def hotter(model, sampler, *, beta, **settings):
        return real(model, sampler, beta=0.98 * beta, **settings)

    monkeypatch.setattr(SAMPLING, "sample", hotter)
    report = verify(generate(SPEC, tmp_path / "x.zarr").path)
    assert outcome(report)["energy"] is False
    assert not report.passed


def test_wrong_temperature_in_the_cold_is_rejected(monkeypatch, tmp_path):
    """Where excitations are rare, their number is what is judged."""
    real = SAMPLING.sample

    def hotter(model, sampler, *, beta, **settings):
        return real(model, sampler, beta=0.9 * beta, **settings)

    monkeypatch.setattr(SAMPLING, "sample", hotter)
    spec = Spec("square", 16, 1.0, samples=4000, seed=1)
    report = verify(generate(spec, tmp_path / "x.zarr").path)
    assert report.rows[0].energy.note == "rare"
    assert outcome(report)["energy"] is False


def test_swapped_temperatures_are_rejected(monkeypatch, tmp_path):
    real = GENERATE.sample_temperature
    monkeypatch.setattr(
        GENERATE, "sample_temperature", lambda spec, index, bar: real(spec, (1, 0, 2)[index], bar)
    )
    report = verify(generate(SPEC, tmp_path / "x.zarr").path)
    assert outcome(report)["energy"] is False
    assert abs(report.rows[2].energy.z) < 5  # the one that was not swapped


def test_flipped_spin_is_rejected(mutate):
    def flip(spec, index, arrays):
        if index == 1:
            arrays["spins"][3, 7, 5] ^= 4
        return arrays

    report = verify(mutate(SPEC, flip))
    assert outcome(report)["labels"] is False
    (detail,) = [verdict.detail for verdict in report.verdicts if verdict.check == "labels"]
    assert "T = 2: 1 energies do not follow from the spins" in detail


def test_lost_factor_two_is_rejected(mutate):
    def halve(spec, index, arrays):
        return arrays | {"energy": arrays["energy"] / 2}

    report = verify(mutate(SPEC, halve))
    assert outcome(report)["labels"] is False
    assert outcome(report)["energy"] is False


def test_repeated_draws_are_rejected(mutate):
    """Too little fluctuation at the right energy: the specific heat sees it."""

    def shrink(spec, index, arrays):
        median = np.median(arrays["energy"])
        far = np.abs(arrays["energy"] - median) > 60
        return arrays | {"energy": np.where(far, median, arrays["energy"])}

    assert outcome(verify(mutate(SPEC, shrink)))["specific heat"] is False


def test_frozen_stripes_are_rejected(monkeypatch, tmp_path):
    def striped_starts(spec, seed):
        x = np.ones((spec.n_chains, *spec.size), np.int8)
        x[1::2, : spec.size[0] // 2] = -1
        return x.reshape(spec.n_chains, -1)

    monkeypatch.setattr(SAMPLING, "starts", striped_starts)
    spec = Spec("square", 16, 1.0, samples=400, seed=1, sampler="heat-bath", spacing=1, burn_in=10)
    with pytest.warns(match="starts disagree"):
        path = generate(spec, tmp_path / "x.zarr").path
    report = verify(path)
    assert outcome(report)["stripes"] is False
    assert outcome(report)["starts"] is False
    assert report.rows[0].stripes.tolist() == [0.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize("damage", ["flip", "truncate", "lose"])
def test_damaged_bytes_are_rejected(made, tmp_path, damage):
    path = shutil.copytree(made.path, tmp_path / "x.zarr")
    chunk = path / "magnetization" / "c" / "1" / "0" / "0"
    data = chunk.read_bytes()
    if damage == "flip":
        chunk.write_bytes(data[:20] + bytes([data[20] ^ 1]) + data[21:])
    elif damage == "truncate":
        chunk.write_bytes(data[:20])
    else:
        chunk.unlink()
    report = verify(path)
    assert outcome(report) == {"files": False}
    assert "magnetization/c/1/0/0" in report.verdicts[0].detail
    assert not report.passed
