"""The study of generative models: what judges the models is itself judged, and nothing that was
done is done again.
"""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput, StatmechError, StoreError
from statmech_ml.exact import enumeration, kaufman, transfer_matrix
from statmech_ml.models import Ising
from validation import report
from validation.__main__ import main
from validation.runner import run_checks
from validation.study import CONTROLS, Plan, Task, document, figures
from validation.study import run as study_run
from validation.study.answers import Answer, answers, combined_z, law
from validation.study.classifier import tell_apart
from validation.study.fingerprint import fingerprint
from validation.study.jobs import Bits, Trained
from validation.study.judge import bits_above_entropy, scores
from validation.study.learners import LEARNERS
from validation.study.observables import along_axes, measure, names
from validation.study.page import render
from validation.study.results import load, read, write
from validation.study.table import tables
from validation.study.words import sentence, shown_bits, wrong

T = 2.3
ROOT = Path(__file__).parents[2]


def draws(n, seed, temperature=T, L=4):
    """Exact and independent."""
    return transfer_matrix.draw(Ising(lattices.square(L, L)), 1.0 / temperature, n, seed)


@pytest.fixture(scope="module")
def truth():
    return answers(4, T, seed=0)


# --- what is true, and what is measured -----------------------------------------------------------


def test_answers_equal_enumeration(truth):
    """Every quantity of the 4 x 4 torus as a sum over its 65,536 states."""
    ising = Ising(lattices.square(4, 4))
    states = ising.space.from_index(np.arange(2**16))
    p = enumeration.distribution(ising, 1.0 / T)
    E, m = ising.energy(states), states.mean(axis=1)
    mean = lambda f: float(p @ f)  # noqa: E731
    expected = {
        "energy": mean(E) / 16,
        "specific heat": (mean(E**2) - mean(E) ** 2) / (16 * T**2),
        "m": 0.0,
        "abs m": mean(np.abs(m)),
        "susceptibility": 16 * (mean(m**2) - mean(np.abs(m)) ** 2) / T,
        "Binder cumulant": 1.0 - mean(m**4) / (3.0 * mean(m**2) ** 2),
        "G(1)": mean(along_axes(states)[:, 0]),
        "G(2)": mean(along_axes(states)[:, 1]),
    }
    assert set(expected) == set(names(4)) == set(truth.values)
    for name, value in expected.items():
        assert truth.values[name].value == pytest.approx(value, abs=1e-11), name
    assert truth.entropy == pytest.approx(-float(p @ np.log(p)) / 16)
    np.testing.assert_allclose(truth.log_prob(states[:99]), np.log(p[:99]), rtol=1e-10)


def z_scores(temperature=T, change=lambda x: x):
    """run(seed, scale) of all quantities of exact draws at a temperature, changed."""
    truth = answers(4, T, seed=0)

    def run(seed, scale):
        found = scores(change(draws(4000 * scale, seed, temperature)), truth)
        return np.array([row["z"] for row in found.values()])

    return run


def test_exact_draws_have_no_deviation(seed, assert_unbiased):
    assert_unbiased(z_scores(), seed)


@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(z_scores(1.05 * T), id="5% too hot"),
        pytest.param(
            z_scores(change=lambda x: np.where(x.sum(1, keepdims=True) < 0, -x, x)), id="one sign"
        ),
        pytest.param(z_scores(change=lambda x: np.repeat(x[::400], 400, axis=0)), id="few samples"),
    ],
)
def test_wrong_samples_deviate(mutant, seed, assert_rejected):
    assert_rejected(mutant, seed)


def test_spread_of_z_is_one(seed):
    """Over 200 sets of 500 exact draws: errors are neither too small nor too large."""
    truth = answers(4, T, seed=0)
    x = draws(100_000, seed).reshape(200, 500, 16)
    z = np.array([[row["z"] for row in scores(part, truth).values()] for part in x])
    # Mean: 4 standard errors. Spread: its standard error is 1/20 and the skew of cumulants adds.
    assert np.abs(z.mean(axis=0)).max() < 4.0 * 1.15 / np.sqrt(200)
    assert np.all(z.std(axis=0) > 0.8)
    assert np.all(z.std(axis=0) < 1.25)


def test_errors_of_the_answer_count():
    assert combined_z(1.0, 0.3, Answer(0.0, 0.4, "")) == pytest.approx(2.0)
    assert combined_z(1.0, 0.5, Answer(0.0, 0.0, "")) == 2.0


def test_collapsed_model_has_values_but_no_z(truth):
    x = np.ones((100, 16), np.int8)
    assert all(estimate.stderr == 0.0 for estimate in measure(x, T).values())
    found = scores(x, truth)
    assert all(o["z"] is None for o in found.values())
    assert found["energy"]["value"] == -2.0
    assert found["energy"]["relative"] == pytest.approx(
        -2.0 / abs(truth.values["energy"].value) + 1
    )
    assert found["specific heat"]["relative"] == -1.0
    nothing = measure(np.tile([1, -1], (100, 8)).astype(np.int8), T)  # m = 0: 0 / 0
    assert nothing["Binder cumulant"] is None


@pytest.mark.slow
def test_answers_of_a_wide_lattice_agree_with_exact_ones(monkeypatch):
    """The Swendsen-Wang run that serves beyond L = 10, at L = 8, where the values are known."""
    exact = answers(8, T, seed=1)
    monkeypatch.setattr("validation.study.answers.WIDEST", 4)
    found = answers(8, T, seed=1, n_draws=2000)
    for name, answer in found.values.items():
        if answer.stderr:
            assert abs(answer.value - exact.values[name].value) < 4.0 * answer.stderr, name
    assert sum(answer.stderr > 0 for answer in found.values.values()) == 3 + 4


# --- bits and classifier --------------------------------------------------------------------------


def bits_of(log_likelihood, x):
    trained = Trained(lambda n, seed: x, log_likelihood, 1, 0.0)
    return bits_above_entropy(trained, x, law(4, T), 1)


def test_bits_of_another_temperature(seed):
    """KL between two temperatures is known: S(T) and <E> at T give the cross entropy."""
    other = law(4, 1.2 * T)
    found = bits_of(lambda x, s: Bits(other.log_prob(x), "exact", ""), draws(4000, seed))
    u = float(kaufman.energy_per_site(4, 4, beta=1 / T))
    exact = (u / (1.2 * T) + other.log_z / 16 - law(4, T).entropy) / np.log(2.0)
    assert abs(found["above_entropy"] - exact) < 4.0 * found["stderr"]
    assert found["above_entropy"] > 10.0 * found["stderr"]


@pytest.mark.parametrize("no_number", [-np.inf, np.nan])
def test_a_law_without_some_configuration_is_not_exact(no_number, study):
    """One held-out configuration without a likelihood: no number, and words that say so."""
    x = draws(1000, 1)
    values = law(4, T).log_prob(x)
    values[7] = no_number
    found = bits_of(lambda x, s: Bits(values, "exact", ""), x)
    assert not np.isfinite(found["above_entropy"])
    row = json.loads(json.dumps(study["results"][0])) | {
        "bits": found | {"above_entropy": None, "stderr": None}, "epochs": 3,
    }  # fmt: skip
    assert "probability zero, or no number" in sentence(row)
    drawn = {**study, "results": [row, study["results"][1]]}
    assert "infinite, or not known" in _texts(figures.cost(drawn))
    assert "inf or ?" in render(drawn)


def _texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_doubt_in_an_estimate_is_said(study):
    bits = {"above_entropy": -0.02, "stderr": 0.001, "kind": "estimate", "entropy": 1.0, "n": 9}
    row = {**study["results"][0], "epochs": 3, "bits": bits | {"method": "AIS (low ess)"}}
    assert "-0.0200(10) bits per spin above the entropy, which is not to be trusted" in sentence(
        row
    )
    assert shown_bits(row["bits"]) == "~ -0.0200(10) ?"
    assert shown_bits(bits | {"method": "AIS (ok)"}) == "~ -0.0200(10)"
    axes = figures.cost({**study, "results": [row, study["results"][1]]}).axes[0]
    low, high = axes.get_xlim()
    assert low < -0.02 < study["results"][1]["bits"]["above_entropy"] < high  # both are seen


def test_error_of_log_z_counts():
    x = draws(1000, 1)
    found = bits_of(lambda x, s: Bits(law(4, T).log_prob(x), "estimate", "", 0.16), x)
    assert found["above_entropy"] == pytest.approx(0.0, abs=1e-12)
    assert found["stderr"] == pytest.approx(0.01 / np.log(2.0))


def test_classifier_accepts_and_rejects(seed):
    """Chance gives p < 1e-4 once in 10,000 runs; 40% of heat are seen in 3000 draws."""
    same, hot = draws(3000, seed), draws(3000, seed + 1, 1.4 * T)
    data = draws(3000, seed + 2)
    assert tell_apart(same, data, seed)["p_value"] > 1e-4
    assert tell_apart(hot, data, seed)["p_value"] < 1e-4


# --- plans and files ------------------------------------------------------------------------------


def plan(**changes):
    settings = {"sizes": (4,), "temperatures": (T,), "models": ("rbm",), "n_train": 400,
                "n_held_out": 200, "n_judged": 2000, "share": 0.02, "seed": 3}  # fmt: skip
    return Plan(**settings | changes)


def test_plan_has_controls_everywhere():
    tasks = list(plan(temperatures=(2.0, 2.5), models=("rbm", "vae")).tasks())
    assert [task.model for task in tasks] == [*CONTROLS, "rbm", "vae"] * 2
    assert len({task.name for task in tasks}) == len({t.seed_for("x") for t in tasks}) == 8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sizes": (6,)}, "multiple of 4"),
        ({"n_train": 100}, "multiple of 200"),
        ({"share": 0.0}, "share"),
        ({"models": ()}, "at least one"),
    ],
)
def test_bad_plans_are_refused(change, words):
    with pytest.raises(InvalidInput, match=words):
        plan(**change)


@pytest.mark.parametrize("change", [{"device": "abacus"}, {"workers": 0}])
def test_run_refuses_before_any_work(change, tmp_path):
    with pytest.raises(InvalidInput, match=next(iter(change))):
        study_run.run(plan(), tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()


def test_result_of_other_settings_is_refused(tmp_path):
    task = next(plan().tasks())
    assert read(task, tmp_path) is None
    write({"task": task.to_json()}, task, tmp_path)
    assert read(task, tmp_path) == {"task": task.to_json()}
    other = Task(**task.to_json() | {"seed": 4})
    with pytest.raises(StoreError, match="other settings"):
        read(other, tmp_path)


def test_result_of_another_training_is_refused(tmp_path):
    """A file without a fingerprint is taken; one of other code is not."""
    *_, task = plan().tasks()
    kept = {"task": task.to_json(), "learner": fingerprint(task)}
    for result in ({"task": task.to_json()}, kept):
        write(result, task, tmp_path)
        assert read(task, tmp_path) == result
    write(kept | {"learner": "0123456789abcdef"}, task, tmp_path)
    with pytest.raises(StoreError, match="trained in another way"):
        read(task, tmp_path)
    assert fingerprint(task) != fingerprint(Task(**task.to_json() | {"share": 1.0}))


def test_updates_are_counted():
    """By hand: 36,000 / 200 a step of an epoch, or 40,000, or of the RBM 40,000 / 1000."""
    *_, task = Plan((8,), (2.0,), ("vae",)).tasks()
    assert {name: learner.updates(task) for name, learner in LEARNERS.items()} == {
        "rbm": 500 * 40, "vae": 80 * 180, "hvae": 55 * 180, "diffusion": 28 * 180,
        "gan": 13 * 200 // 2, "wgan-gp": 11 * 200 // 6, "autoregressive": 11 * 180,
        "variational": 500 * 50,
    }  # fmt: skip


def test_what_is_no_study_is_refused(tmp_path):
    (tmp_path / "results.json").write_text('{"format": "statmech-ml validation 1"}')
    with pytest.raises(StoreError, match=r"not the results\.json of a study"):
        load(tmp_path / "results.json")
    with pytest.raises(StoreError, match="cannot be read"):
        load(tmp_path / "none.json")


# --- a study of the controls, which train nothing -------------------------------------------------


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Controls alone, judged in this process."""
    folder = tmp_path_factory.mktemp("study")
    chosen = plan()
    from validation.study import judge, results

    tasks = [task for task in chosen.tasks() if task.model in CONTROLS]
    for task in tasks:
        results.write(judge.run(task, folder), task, folder)
    return results.gather(tasks, folder, {"started": "now", "seed": 3, "versions": {"x": "1"}})


def test_controls_judge_the_judge(study):
    for row in study["results"]:
        exact = row["task"]["model"] == "exact"
        assert bool(wrong(row)) is not exact, sentence(row)
        assert (row["bits"]["above_entropy"] == 0.0) is exact


def test_done_tasks_are_not_done_again(study, tmp_path, monkeypatch):
    from validation.study import judge, results

    tasks = [Task(**row["task"]) for row in study["results"]]
    for task, row in zip(tasks, study["results"], strict=True):
        results.write(row, task, tmp_path)
    monkeypatch.setattr(Plan, "tasks", lambda self: iter(tasks))
    monkeypatch.setattr(judge, "run", None)
    told = []
    again = study_run.run(plan(), tmp_path, tell=told.append)
    assert again["results"] == study["results"]
    assert told == ["2 of 2 tasks were done already"]
    assert load(tmp_path / "results.json")["results"] == study["results"]
    assert study_run.run(plan(), tmp_path) == again  # with the times and versions of before


def test_words_come_from_numbers(study):
    hot = next(row for row in study["results"] if row["task"]["model"] == "wrong-T")
    text = sentence(hot)
    assert "energy" in text
    assert "too high (z = +" in text
    changed = json.loads(json.dumps(hot))
    for o in changed["observables"].values():
        o["z"] = 3.9
    assert "no observable is off by more than 2,000 samples show" in sentence(changed)
    changed["observables"]["energy"]["z"] = None
    assert "energy never varies, " in sentence(changed)
    changed["observables"]["energy"]["relative"] = None
    assert "energy never varies; " in sentence(changed)


def test_page_and_table_show_every_row(study):
    from rich.console import Console

    page = render(study)
    assert page.count("data:image/svg+xml;base64,") == 5
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(tables(study))
    printed = console.export_text()
    assert "learnt from 360 of the same 400 configurations" in page
    for text in (page, printed):
        assert "exact data" in text
        assert "1.05 T data" in text


def test_document_shows_the_stored_study():
    """docs/generative.md holds the table of validation/study-default.json, whose controls pass."""
    stored = load(ROOT / "validation" / "study-default.json")
    text = (ROOT / "docs" / "generative.md").read_text()
    assert text == document.insert(text, stored), "run `python -m validation.study.document ...`"
    for row in stored["results"]:
        if not row["epochs"]:
            assert bool(wrong(row)) is (row["task"]["model"] == "wrong-T")
    with pytest.raises(StoreError, match="no <!-- study -->"):
        document.insert("text", stored)


def test_report_gets_the_page(study, tmp_path, monkeypatch):
    """`--study` puts the page beside index.html, which is told its name."""
    monkeypatch.setattr(report, "render", lambda outcome, drawn, link: f"link: {link}")
    outcome = run_checks([], tier="fast", seed=1)
    index = report.write_report(outcome, None, tmp_path / "without")
    assert index.read_text() == "link: None"
    assert not index.with_name("generative.html").exists()
    index = report.write_report(outcome, None, tmp_path / "report", study)
    assert index.read_text() == "link: generative.html"
    assert "exact data" in index.with_name("generative.html").read_text()


def test_study_of_the_command_is_checked_first(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--study", "results.json"])
    assert "give --report as well" in capsys.readouterr().err
    assert main(["--study", str(tmp_path / "none.json"), "--report", str(tmp_path)]) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.slow
def test_small_study_end_to_end(tmp_path):
    """The command on a small lattice, twice: the second time nothing is left to do."""
    command = [sys.executable, "-W", "error", str(ROOT / "examples/generative_ising.py"),
               "--quick", "--out", str(tmp_path / "out")]  # fmt: skip
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    found = load(tmp_path / "out" / "results.json")
    rows = {row["task"]["model"]: row for row in found["results"]}
    assert wrong(rows["wrong-T"])
    assert not wrong(rows["exact"])
    assert all(row["bits"]["above_entropy"] + 4 * row["bits"]["stderr"] > 0
               for row in rows.values() if row["bits"] and row["epochs"])  # fmt: skip
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {
        f"generative_{name}.png"
        for name in ("cost", "observables", "correlations", "classifier", "snapshots")
    }
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert f"{len(rows)} of {len(rows)} tasks were done already" in second.stdout
    assert load(tmp_path / "out" / "results.json")["results"] == found["results"]


@pytest.mark.slow
def test_failed_task_leaves_the_others_done(tmp_path, monkeypatch):
    """A model that does not exist fails; controls are there, and the error says which it was."""
    with pytest.raises(StatmechError, match=r"1 of 3 tasks failed, L4-T2\.3-none"):
        study_run.run(plan(models=("none",)), tmp_path, workers=1)
    assert len(load(tmp_path / "results.json")["results"]) == 2
