"""Every example runs as a reader would run it, in an empty directory, and says what it should.

Those of seconds run in the fast tests, inside the test process, which has the heavy imports behind
it. All of them run in the slow tests, each in a process of its own; the fast ones read the usage of
all, which needs every import and everything at the head of the file.
"""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
# By itself under an hour; tests/validation/test_study.py runs a small variant.
STUDY = "generative_ising"
# They train, or repeat whole estimates: five to twenty seconds each, compilation included.
LONG = {
    "autoregressive_ising",
    "diffusion_gaussian",
    "energy_net",
    "estimators_compared",
    "gan_densities",
    "ising_denoiser",
    "langevin_mistakes",
    "partition_functions",
    "rbm_digits",
    "rbm_ising",
    "rbm_thermodynamics",
    "spin_glass",
}


def examples(*without):
    """The examples but these, as test parameters."""
    kept = [path for path in EXAMPLES if path.stem not in without]
    return pytest.mark.parametrize("path", kept, ids=lambda path: path.stem)


def run_here(path, monkeypatch, *arguments):
    """Run a script in this process, under the filters of pytest: warnings are errors."""
    monkeypatch.setattr(sys, "argv", [str(path), *arguments])
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    runpy.run_path(str(path), run_name="__main__")


def test_the_long_ones_exist():
    assert {*LONG, STUDY} <= {path.stem for path in EXAMPLES}


@examples(*LONG, STUDY)
def test_example_runs(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_here(path, monkeypatch)
    assert capsys.readouterr().out.strip()


@pytest.mark.slow
@examples(STUDY)
def test_example_runs_by_itself(path, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@examples()
def test_usage_is_what_the_file_says(path, monkeypatch, capsys):
    """Each option of the line `python examples/...` exists; only the study has others."""
    usage = re.search(rf"^ +python examples/{path.name}(.*)$", path.read_text(), re.MULTILINE)
    assert usage, "the file does not say how it is run"
    said = set(re.findall(r"--[a-z]+", usage[1]))
    if not said:
        assert "argparse" not in path.read_text()
        return
    with pytest.raises(SystemExit) as end:
        run_here(path, monkeypatch, "--help")
    assert end.value.code == 0
    shown = set(re.findall(r"^ +(--[a-z]+)", capsys.readouterr().out, re.MULTILINE))
    assert said <= shown
    assert path.stem == STUDY or said == shown
