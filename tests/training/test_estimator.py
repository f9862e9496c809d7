"""The scikit-learn face: its contract, what it learns beside BernoulliRBM, what it refuses."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.neural_network import BernoulliRBM as SklearnRBM
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import enumeration
from statmech_ml.training import RBMEstimator

OUT_OF_RANGE = "scikit-learn's data for this check are no bits and lie outside [0, 1]"
# Of the default estimator, which refuses what BernoulliRBM would silently train on. With
# threshold= there is nothing to refuse, and nothing fails.
EXPECTED_TO_FAIL = dict.fromkeys(
    [
        "check_estimators_overwrite_params", "check_dont_overwrite_parameters",
        "check_estimators_fit_returns_self", "check_readonly_memmap_input",
        "check_n_features_in_after_fitting", "check_positive_only_tag_during_fit",
        "check_estimators_dtypes", "check_pipeline_consistency", "check_estimators_pickle",
        "check_f_contiguous_array_estimator", "check_transformer_data_not_an_array",
        "check_transformer_general", "check_transformer_preserve_dtypes",
        "check_methods_sample_order_invariance", "check_methods_subset_invariance",
        "check_fit2d_1sample", "check_fit2d_1feature", "check_dict_unchanged",
        "check_fit_idempotent", "check_fit_check_is_fitted", "check_n_features_in",
        "check_fit2d_predict1d",
    ],
    OUT_OF_RANGE,
)  # fmt: skip

BITS = np.random.default_rng(1).integers(0, 2, (60, 5))


def test_check_estimator():
    results = check_estimator(
        RBMEstimator(n_components=4, n_iter=2, threshold=0.0), on_skip=None, on_fail=None
    )
    assert {r["check_name"] for r in results if r["status"] == "failed"} == set()
    assert {r["check_name"] for r in results if r["status"] == "skipped"} <= {
        "check_array_api_input"
    }


def test_check_estimator_without_a_threshold():
    """The list of expected failures is exact, and each is the refusal of data outside [0, 1]."""
    estimator = RBMEstimator(n_components=4, n_iter=2)
    failed = set()
    for each, check in estimator_checks_generator(estimator):
        name = getattr(check, "func", check).__name__
        if name == "check_array_api_input":
            continue
        try:
            check(each)
        except Exception as error:
            failed.add(name)
            seen: BaseException | None = error
            messages = []
            while seen is not None:
                messages.append(str(seen))
                seen = seen.__cause__ or seen.__context__
            assert any("the units are bits" in message for message in messages), name
    assert failed == set(EXPECTED_TO_FAIL)


def pseudo_likelihoods(seed: int, n_iter: int) -> tuple[float, float]:
    """Exact pseudo-likelihood of binary digits after training, scikit-learn's and ours."""
    X = (load_digits().data >= 8).astype(np.float64)
    settings = {
        "n_components": 64, "learning_rate": 0.05, "batch_size": 10, "n_iter": n_iter,
        "random_state": seed,
    }  # fmt: skip
    theirs = SklearnRBM(**settings).fit(X)
    ours = RBMEstimator(**settings).fit(X)
    judge = clone(ours).set_params(n_iter=0).fit(X)
    judge.components_, judge.intercept_hidden_, judge.intercept_visible_ = (
        theirs.components_, theirs.intercept_hidden_, theirs.intercept_visible_
    )  # fmt: skip
    return float(judge.score_samples(X).mean()), float(ours.score_samples(X).mean())


def test_learns_like_scikit_learn():
    """One epoch: within a tenth of it (independent machines of 64 bits start near -44 nats)."""
    theirs, ours = pseudo_likelihoods(seed=0, n_iter=1)
    assert ours > 1.1 * theirs
    assert ours < 0.9 * theirs


@pytest.mark.slow
def test_pseudo_likelihood_is_at_least_that_of_scikit_learn():
    found = np.array([pseudo_likelihoods(seed, n_iter=10) for seed in range(5)])
    theirs, ours = found.mean(axis=0)
    assert ours >= theirs, found


def test_score_samples_is_the_exact_pseudo_likelihood():
    rbm = RBMEstimator(n_components=3, n_iter=3, random_state=0).fit(BITS)
    model = rbm.model_
    expected = np.zeros(len(BITS))
    for i in range(5):
        flipped = BITS.copy()
        flipped[:, i] = 1 - flipped[:, i]
        expected -= np.logaddexp(0.0, model.free_energy(BITS) - model.free_energy(flipped))
    assert rbm.score_samples(BITS) == pytest.approx(expected, abs=1e-10)


def test_log_likelihood():
    rbm = RBMEstimator(n_components=3, n_iter=3, random_state=0).fit(BITS)
    expected = -rbm.model_.free_energy(BITS) - enumeration.log_z(rbm.model_, 1.0)
    assert rbm.log_likelihood(BITS) == pytest.approx(expected, abs=1e-10)
    assert rbm.log_likelihood(BITS, log_z=2.0) == pytest.approx(-rbm.model_.free_energy(BITS) - 2.0)


def test_samples_follow_the_model(seed, assert_unbiased, assert_rejected):
    """A mean of the visible units, with weights large enough to matter; one sweep is too few."""
    rbm = RBMEstimator(n_components=2, n_iter=0, random_state=0).fit(BITS)
    rbm.components_ = np.random.default_rng(5).normal(0, 1.5, (2, 5))
    rbm.intercept_visible_ = np.array([0.5, -1.0, 0.0, 1.0, -0.5])
    states = rbm.model_.space.from_index(np.arange(32))
    p = np.exp(-rbm.model_.free_energy(states) - enumeration.log_z(rbm.model_, 1.0))
    exact = float(p @ states @ np.arange(1, 6))

    def z(seed: int, scale: int, n_sweeps: int = 50) -> float:
        rbm._seed, rbm._draws = seed, 0
        x = rbm.sample(4000 * scale, n_sweeps) @ np.arange(1, 6)
        return float((x.mean() - exact) / (x.std() / np.sqrt(len(x))))

    assert_unbiased(z, seed)
    assert_rejected(lambda seed, scale: z(seed, scale, n_sweeps=1), seed)


def test_same_seed_same_machine_and_pickle():
    one, two = (RBMEstimator(n_components=3, n_iter=3, random_state=4).fit(BITS) for _ in "ab")
    assert np.array_equal(one.components_, two.components_)
    again = pickle.loads(pickle.dumps(one))
    assert np.array_equal(again.transform(BITS), one.transform(BITS))
    assert np.array_equal(again.gibbs(BITS), one.gibbs(BITS))
    other = RBMEstimator(n_components=3, n_iter=3, random_state=5).fit(BITS)
    assert not np.array_equal(one.components_, other.components_)


def test_partial_fit_goes_on():
    rbm = RBMEstimator(n_components=3, random_state=0)
    before = rbm.partial_fit(BITS).components_.copy()
    chains = rbm.chains_.copy()
    rbm.partial_fit(BITS)
    assert not np.array_equal(before, rbm.components_)
    assert not np.array_equal(chains, rbm.chains_)


def test_grey_data_are_means_of_bits():
    grey = BITS * 0.8 + 0.1
    rbm = RBMEstimator(n_components=3, n_iter=2, random_state=0).fit(grey)
    assert rbm.transform(grey).shape == (60, 3)
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        rbm.score_samples(grey)


@pytest.mark.parametrize(
    ("settings", "X", "message"),
    [
        ({}, BITS * 2, "the units are bits"),
        ({}, BITS - 0.5, "threshold"),
        ({}, np.full((4, 5), np.nan), "NaN"),
        ({}, np.ma.masked_equal(BITS, 0), "masked"),
        ({"learning_rate": 1e300}, BITS, "learning_rate"),
        ({"k": 0}, BITS, "'k' parameter"),
        ({"n_chains": 0}, BITS, "'n_chains' parameter"),
        ({"learning_rate": -1.0}, BITS, "'learning_rate' parameter"),
    ],
)
def test_bad_input(settings, X, message):
    with pytest.raises(ValueError, match=message):
        RBMEstimator(n_components=3, **settings).fit(X)


def test_divergence_keeps_the_machine():
    rbm = RBMEstimator(n_components=3, n_iter=2, random_state=0).fit(BITS)
    before = rbm.components_.copy()
    rbm.set_params(learning_rate=1e5, weight_decay=1e5)
    with pytest.raises(InvalidInput, match="learning_rate"):
        rbm.partial_fit(BITS)
    assert np.array_equal(rbm.components_, before)


def test_drawing_does_not_change_what_is_learnt():
    one, two = (RBMEstimator(n_components=3, n_iter=2, random_state=4).fit(BITS) for _ in "ab")
    assert not np.array_equal(one.sample(20, n_sweeps=3), one.sample(20, n_sweeps=3))
    one.gibbs(BITS)
    assert np.array_equal(one.partial_fit(BITS).components_, two.partial_fit(BITS).components_)


@pytest.mark.parametrize("batch_size", [10, 32, 64])
def test_single_and_double_precision_learn_the_same_from_grey_data(batch_size):
    """One step from equal starts: the positive phase takes means of bits as they are."""
    grey = np.random.default_rng(3).random((64, 20))
    found = []
    for dtype in (np.float32, np.float64):
        rbm = RBMEstimator(4, batch_size=batch_size, n_chains=1, n_iter=1, random_state=0)
        found.append(rbm.fit(grey.astype(dtype)).intercept_visible_)
    assert found[0] == pytest.approx(found[1], abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"), [((-1,), "n_samples"), ((2.5,), "n_samples"), ((2, -5), "n_sweeps")]
)
def test_bad_sample(arguments, message):
    rbm = RBMEstimator(n_components=3, n_iter=1, random_state=0).fit(BITS)
    with pytest.raises(InvalidInput, match=message):
        rbm.sample(*arguments)
    with pytest.raises(InvalidInput, match="log_z"):
        rbm.log_likelihood(BITS, log_z=float("nan"))
