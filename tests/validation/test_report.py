"""The report holds its figures itself, shows their numbers, and leaves nothing global behind."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import ising_data
from statmech_ml.exact import onsager
from validation import Check, Mutant
from validation.check import Measurement
from validation.curves import collect
from validation.report import render, write_report
from validation.runner import run_checks


def score(value, name="x"):
    return lambda seed, scale: [Measurement(name, value, 0.0, 1.0, 10, value)]


@pytest.fixture(scope="module")
def figures():
    return collect(seed=11, dataset=None)


@pytest.fixture(scope="module")
def outcome():
    checks = [
        Check("a.good", "Holds.", score(0.3), (Mutant("mistake", score(99.0)),)),
        Check("a.bad", "Fails & <says> so.", score(7.0), (Mutant("mistake", score(0.0)),)),
    ]
    return run_checks(checks, tier="fast", seed=4)


@pytest.fixture(scope="module")
def page(outcome, figures):
    return render(outcome, figures)


class Balanced(HTMLParser):
    """Collects tags; elements that HTML closes by itself are left out."""

    by_itself = frozenset({"meta", "img", "p", "li", "td", "th", "tr"})

    def __init__(self):
        super().__init__()
        self.open, self.sources = [], []

    def handle_starttag(self, tag, attrs):
        self.sources += [value for key, value in attrs if key in ("src", "href")]
        if tag not in self.by_itself:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.by_itself:
            assert self.open.pop() == tag


def test_page_is_self_contained(page):
    parsed = Balanced()
    parsed.feed(page)
    assert parsed.open == []
    assert len(parsed.sources) == 8  # six curves, the snapshots, the histogram
    assert all(source.startswith("data:image/svg+xml;base64,") for source in parsed.sources)
    assert not re.search(r"<script|<link|@import|url\(", page)


def test_page_says_what_happened(page):
    assert "1 failed" in page
    assert "a.bad" in page
    assert "SURVIVED" in page
    assert "Fails &amp; &lt;says&gt; so." in page


def test_page_tabulates_what_it_draws(page, figures):
    assert page.count("<summary>the numbers") == len(figures.curves)
    energy = figures.curves[0]
    assert all(str(estimate) in page for estimate in energy.estimates)


def test_page_of_generative_models_is_linked(outcome, figures, page):
    link = '<a href="generative.html">'
    assert link not in page
    assert link in render(outcome, figures, "generative.html")


def test_report_is_written(outcome, figures, tmp_path):
    written = write_report(outcome, figures, tmp_path / "new" / "report")
    assert written.read_text().startswith("<!DOCTYPE html>")
    assert (written.parent / "verdicts.json").exists()


def test_curves_agree_with_their_exact_answers(figures):
    """All residuals of the finite-lattice curves together: no |z| beyond what chance allows."""
    exact = [curve for curve in figures.curves if not curve.infinite]
    residuals = np.concatenate([curve.residuals() for curve in exact])
    assert len(residuals) > 40
    assert np.nanmax(np.abs(residuals)) < 5.0


def test_susceptibility_meets_its_asymptote(figures):
    """Leading order: within 15% where |T - T_c| is neither tiny (finite size) nor large."""
    curve = next(c for c in figures.curves if c.name == "susceptibility" and c.infinite)
    near = np.flatnonzero((curve.temperature > 2.55) & (curve.temperature < 2.65))
    assert len(near)
    for i in near:
        assert curve.estimates[i].value == pytest.approx(curve.exact[i], rel=0.15)


def test_snapshots_lie_below_at_and_above(figures):
    T = [temperature for temperature, _ in figures.snapshots]
    critical = onsager.critical_temperature()
    assert T[0] < critical < T[2]
    assert T[1] == pytest.approx(critical, rel=0.01)
    assert all(np.isin(spins, [-1, 1]).all() for _, spins in figures.snapshots)


@pytest.fixture
def dataset(tmp_path):
    def make(**settings):
        spec = ising_data.Spec(temperatures=(1.8, 2.3, 3.0), samples=80, seed=3, **settings)
        return ising_data.generate(spec, tmp_path / "data.zarr", progress=False).path

    return make


def test_figures_of_a_dataset(dataset):
    found = collect(seed=1, dataset=dataset(lattice="square", size=(6, 10)))
    assert found.origin == "the dataset data.zarr"
    assert found.curves[0].lattice == "6 x 10"
    assert found.curves[0].temperature.tolist() == [1.8, 2.3, 3.0]
    assert [spins.shape for _, spins in found.snapshots] == [(6, 10)] * 3


def test_dataset_without_exact_curves_is_not_drawn(dataset):
    found = collect(seed=1, dataset=dataset(lattice="triangular", size=4))
    assert "is not a ferromagnet on a square torus" in found.origin
    assert found.curves[0].lattice == "32 x 32"


def test_matplotlib_is_loaded_to_draw_only():
    code = "import sys, validation.__main__; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_no_pyplot_figures(page):
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []
