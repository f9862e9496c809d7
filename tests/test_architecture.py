"""The house keeps its promises: layers, light imports, and the public names that users write."""

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("statmech_ml", "ising_data", "validation")

HEAVY = {
    "torch",
    "matplotlib",
    "arviz",
    "zarr",
    "emcee",
    "xarray",
    "pandas",
    "sklearn",
    "safetensors",
}

PUBLIC_NAMES = {
    "statmech_ml": ["errors", "exact", "lattices", "models", "partition", "sample", "samplers"],
    "statmech_ml.lattices": ["chain", "square", "cubic", "triangular", "honeycomb", "from_edges"],
    "statmech_ml.models": [
        "Ising", "Potts", "BernoulliRBM", "GaussianRBM", "DoubleWell", "Quartic", "Gaussian",
        "GaussianMixture", "GaussianShells", "HarmonicTrap", "DraggedTrap", "LogDensity",
        "RBM", "PottsRBM", "BoltzmannMachine", "Hopfield",
        "MuellerBrown", "Rosenbrock", "Funnel", "RingOfWells", "Posterior",
        "BayesianLinearRegression", "BayesianLogisticRegression",
    ],
    "statmech_ml.samplers": [
        "HeatBath", "Metropolis", "Wolff", "SwendsenWang", "BlockGibbs", "MALA", "ULA",
        "SGLD", "PSGLD", "SGHMC", "BAOAB", "PolynomialDecay", "HMC",
        "EnsembleSampler", "ReplicaExchange",
    ],
    "statmech_ml.chains": ["tune_ladder", "round_trips", "swap_rates"],
    "statmech_ml.exact": [
        "kaufman", "onsager", "enumeration", "ring", "rbm", "quadrature", "pairwise", "planar",
        "plane",
        "torus", "transfer_matrix", "tree", "chains", "correlations", "gaussian", "gaussian_rbm",
        "langevin", "adversarial", "targets",
    ],
    "statmech_ml.exact.targets": [
        "Target", "Gaussian", "GaussianMixture", "Product", "Law", "Uniform", "Ring", "PPCA",
        "Spins", "Ising", "Torus", "predict_sampler", "Prediction", "optimal_variances",
    ],
    "statmech_ml.partition": [
        "Tempering", "Geometric", "Weights", "Switching", "LogZ", "exact_sum",
        "importance_sampling", "ais", "population_annealing", "thermodynamic_integration",
        "jarzynski", "jarzynski_from_work", "crooks", "bar", "bar_from_work", "mbar",
        "mbar_from_energies", "multiple_histogram", "wang_landau", "mean_field", "tap", "bethe",
        "compare", "thermodynamics",
    ],
    "statmech_ml.training": [
        "EnergyNet", "NeuralEnergy", "ScoreMatching", "LangevinReplay",
        "train", "History", "Monitor", "TrainableRBM", "TrainableBoltzmann", "ExactGradient", "CD",
        "PersistentCD", "load_checkpoint", "Checkpoint", "pseudo_log_likelihood",
        "Trainable", "Method", "Step", "TemperedPCD", "JarzynskiPCD", "TrajectoryTempering",
    ],
    "statmech_ml.divergences": [
        "TwoSample", "c2st", "discrete", "energy_distance", "fisher_from_scores", "gaussian",
        "js_from_counts", "js_from_log_prob", "kl_from_log_prob", "median_distance", "mmd",
        "permutation", "plane", "quadrature", "sliced_wasserstein", "wasserstein",
    ],
    "statmech_ml.generative": [
        "DiffusionModel", "DenseDenoiser", "ExactDenoiser", "Schedule", "Linear", "Cosine",
        "LogLinear", "LearnedLogSNR", "Levels", "LinearMeasurement", "GradientGuide",
        "SpinDiffusion", "SpinSchedule", "LatticeDenoiser",
        "AutoregressiveSpins", "MaskedDense", "MaskedConvolution", "Reweighted",
        "PCA", "Autoencoder", "LinearAutoencoder", "VAE", "LinearVAE",
        "HierarchicalVAE", "LinearHierarchicalVAE", "EvidenceBound", "GAN", "CriticReading",
    ],
    "statmech_ml.statistics": ["Estimate"],
    "statmech_ml.errors": [
        "StatmechError", "InvalidInput", "MissingCapability", "ShortChain", "StoreError",
        "EquilibrationWarning", "EffectiveTemperatureWarning", "TrainingWarning",
        "TrainingDiverged",
    ],
    "ising_data": ["Spec", "generate"],
    "ising_data.cli": ["app"],
    "validation": ["Check", "Verdict"],
}  # fmt: skip


# --- light imports --------------------------------------------------------------------------------


def import_times(statement: str) -> dict[str, float]:
    """Seconds spent in the import of each module, those below it included, in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", statement],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = re.findall(r"^import time:\s+\d+ \|\s+(\d+) \|\s+(\S+)$", done.stderr, re.MULTILINE)
    return {module: int(microseconds) * 1e-6 for microseconds, module in rows}


def test_import_is_light():
    times = import_times("import statmech_ml")
    assert "statmech_ml" in times
    assert not HEAVY & {module.partition(".")[0] for module in times}


def test_import_is_fast():
    # The best of three: the other test worker and a cold file cache are not what is measured.
    best = min(import_times("import statmech_ml")["statmech_ml"] for _ in range(3))
    assert best < 1.5


def test_heavy_module_would_be_seen():
    assert "zarr" in HEAVY & set(import_times("import zarr"))


# --- public names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module in PUBLIC_NAMES for name in PUBLIC_NAMES[module]]
)
def test_public_name(module, name):
    """`from module import name` works, and the thing says what it is."""
    public = __import__(module, fromlist=[name])
    assert getattr(public, name).__doc__


@pytest.mark.parametrize("module", PUBLIC_NAMES)
def test_all_is_true(module):
    """What `__all__` lists exists."""
    loaded = importlib.import_module(module)
    assert [name for name in getattr(loaded, "__all__", []) if not hasattr(loaded, name)] == []


def test_command_line_is_installed():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["ising-data"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


# --- layers ---------------------------------------------------------------------------------------


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of pyproject.toml on the packages that stand in `root`."""
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as run; run(['--no-cache'])",
        ],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )


def test_layers():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def house(tmp_path):
    """A copy of the packages and their contracts, to break."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("statmech_ml/errors.py", "import statmech_ml.lattices"),
        ("statmech_ml/models/ising.py", "from ..samplers import HeatBath"),
        ("statmech_ml/exact/ring.py", "from statmech_ml import chains"),
        ("statmech_ml/chains/run.py", "import ising_data"),
        ("ising_data/cli.py", "from statmech_ml.partition import ais"),
        ("ising_data/cli.py", "import validation"),
        ("statmech_ml/_jit.py", "from . import _rng"),  # _rng imports _jit: a cycle
    ],
)
def test_broken_layer_is_rejected(house, module, line):
    """The contracts see each kind of forbidden import, also inside a function."""
    with (house / module).open("a") as file:
        file.write(f"\n\ndef _broken():\n    {line}\n")
    done = lint_imports(house)
    assert done.returncode == 1
    assert "BROKEN" in done.stdout, done.stdout + done.stderr


def test_room_outside_the_layers_is_rejected(house):
    """A new module must be given its place in the layers."""
    (house / "statmech_ml" / "attic.py").touch()
    done = lint_imports(house)
    assert done.returncode == 1
    assert "statmech_ml.attic" in done.stdout, done.stdout + done.stderr
