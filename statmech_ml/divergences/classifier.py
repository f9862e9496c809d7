"""Classifier two-sample test: can a classifier tell held-out draws of x from those of y?

    accuracy = (P(x is called x) + P(y is called y)) / 2 <= (1 + TV(p, q)) / 2

with equality for the ideal classifier, 1/2 for equal laws; TV is the total variation distance. The
classifier learns on one half of each sample and is judged on the other, which it has never seen.

The p-value is exact: given the calls, the labels of held-out draws are exchangeable if both laws
are equal, so the number of x that are called x is hypergeometric, whatever the classifier is. This
is the permutation test of the held-out labels with all permutations counted. (The binomial law,
often used here, is not exact for halves of fixed size.) A test of accuracy on the draws that the
classifier has learnt from has no such law, and always rejects.

Lopez-Paz and Oquab, ICLR 2017, arXiv:1610.06545; R. A. Fisher (1935), for the hypergeometric law.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from .._rng import seed_from
from ..errors import InvalidInput
from ._arguments import Array, positive, two_samples
from .result import TwoSample

_KINDS = ("logistic", "quadratic", "knn", "mlp")
_MINIMUM = 8
_MOST_PRODUCTS = 10_000
_STOPS_EARLY = 2000


def c2st(
    x: ArrayLike, y: ArrayLike, *, rng: Any, classifier: Any = "mlp", held_out: float = 0.5
) -> TwoSample:
    """Accuracy of a classifier on held-out draws, its standard error, and an exact p-value.

    Parameters
    ----------
    x, y
        Independent draws, (n,) or (n, ...) and (m, ...), n, m >= 8; any real dtype.
    rng
        int or numpy Generator: decides the halves and the classifier's own random numbers.
    classifier
        "logistic": linear; sees means. "quadratic": logistic in coordinates and their products;
        sees covariances, hence energies and correlations of spins. "knn": nearest neighbours; local
        differences in few dimensions. "mlp": two hidden layers of 64; anything, from enough draws.
        Or an unfitted scikit-learn classifier, which is cloned.
    held_out
        Share of each sample that is judged, between 0.1 and 0.9.

    Returns
    -------
    TwoSample
        Accuracy, the mean of both samples' own; `n` and `m` count all draws. The error is binomial,
        for this trained classifier: another training would have another accuracy.

    Raises
    ------
    InvalidInput
        For NaN, fewer than 8 draws, draws of different shapes, an unknown classifier, or more
        products of coordinates than 10,000 ("quadratic").

    References
    ----------
    Lopez-Paz and Oquab (2017), arXiv:1610.06545, section 3.

    Cost: one training; seconds for 5000 + 5000 configurations of 64 spins.

    >>> import numpy as np
    >>> draw = np.random.default_rng(1).normal
    >>> c2st(draw(size=500), draw(size=500) + 2.0, rng=2, classifier="logistic").statistic > 0.8
    True
    """
    first, second = two_samples(x, y, _MINIMUM)
    if not 0.1 <= positive(held_out, "held_out") <= 0.9:
        raise InvalidInput(f"held_out = {held_out}, but between 0.1 and 0.9 of the draws are.")
    generator = np.random.default_rng(seed_from(rng))
    learnt, judged = zip(
        *(_halves(each, held_out, generator) for each in (first, second)), strict=True
    )
    # As many of each: a classifier that learns from unequal halves calls everything the larger one.
    fewest = min(len(each) for each in learnt)
    seed = int(generator.integers(2**31))
    judge = _classifier(classifier, first.shape[1], 2 * fewest, seed)
    training = np.concatenate([each[:fewest] for each in learnt])
    centre, width = training.mean(axis=0), training.std(axis=0)
    width[width == 0.0] = 1.0
    # What a classifier of the caller's draws from numpy's global state is its own here.
    with (
        _global_state(seed),
        warnings.catch_warnings(),
    ):  # a training that stops early is a weaker test, still valid
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        judge.fit((training - centre) / width, np.arange(2 * fewest) // fewest)
        called = [np.asarray(judge.predict((each - centre) / width)) == 0 for each in judged]
    kind = classifier if isinstance(classifier, str) else type(classifier).__name__
    method = f"{kind}, held out {held_out:g}"
    return _verdict(called[0], called[1], len(first), len(second), method)


def _halves(draws: Array, held_out: float, generator: np.random.Generator) -> tuple[Array, Array]:
    """Draws to learn from and draws to judge, dealt at random."""
    cut = len(draws) - max(2, round(held_out * len(draws)))
    shuffled = draws[generator.permutation(len(draws))]
    return shuffled[:cut], shuffled[cut:]


def _verdict(x_as_x: np.ndarray, y_as_x: np.ndarray, n: int, m: int, method: str) -> TwoSample:
    """Accuracy, its binomial error and the hypergeometric p-value from the calls."""
    counts = np.array([np.count_nonzero(x_as_x), np.count_nonzero(~y_as_x)])
    sizes = np.array([len(x_as_x), len(y_as_x)])
    share = (counts + 0.5) / (sizes + 1.0)  # Jeffreys: no error of 0 where all calls are right
    stderr = 0.5 * math.sqrt(float((share * (1.0 - share) / sizes).sum()))
    called = int(counts[0] + np.count_nonzero(y_as_x))
    law = stats.hypergeom(int(sizes.sum()), called, int(sizes[0]))
    p, step = float(law.sf(counts[0] - 1)), float(law.pmf(counts[0]))
    statistic = float((counts / sizes).mean())
    return TwoSample("C2ST accuracy", statistic, stderr, min(p, 1.0), step, n, m, 0, method)


@contextmanager
def _global_state(seed: int) -> Iterator[None]:
    """A state of numpy's global generator, which a caller's classifier may draw from, and the
    caller's own again."""
    kept = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(kept)  # noqa: NPY002


def _classifier(given: Any, size: int, draws: int, seed: int) -> Any:
    """An unfitted scikit-learn classifier with random numbers of its own."""
    from sklearn.base import clone

    if not isinstance(given, str):
        if not (hasattr(given, "fit") and hasattr(given, "predict")):
            raise InvalidInput(
                f"classifier={given!r} has no fit and predict. Give a scikit-learn classifier or "
                f"one of {', '.join(_KINDS)}."
            )
        if not hasattr(given, "get_params"):
            raise InvalidInput(
                f"classifier={given!r} has no get_params, by which it is cloned: derive it from "
                "sklearn.base.BaseEstimator."
            )
        fresh = clone(given)
        # Also those of the steps of a pipeline: "mlpclassifier__random_state".
        names = [n for n in fresh.get_params() if n.split("__")[-1] == "random_state"]
        fresh.set_params(**dict.fromkeys(names, seed))
        return fresh
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures

    if given == "logistic":
        return LogisticRegression()
    if given == "quadratic":
        products = size * (size + 3) // 2
        if products > _MOST_PRODUCTS:
            raise InvalidInput(
                f"{size} coordinates have {products} products; 'quadratic' takes "
                f"{_MOST_PRODUCTS} at most. Use 'mlp', or reduce the configurations first."
            )
        # Many products learn from few draws: the penalty keeps them from noise.
        return make_pipeline(
            PolynomialFeatures(2, include_bias=False), LogisticRegression(C=0.01, max_iter=200)
        )
    if given == "knn":
        return KNeighborsClassifier(min(11, draws))
    if given == "mlp":
        # The fifth of the draws that stops the training must be large enough to tell accuracies
        # apart; from fewer draws weight decay keeps them from being learnt by heart.
        enough = draws >= _STOPS_EARLY
        how: dict[str, Any] = {"early_stopping": True, "validation_fraction": 0.2}
        how |= (
            {"max_iter": 200} if enough else {"early_stopping": False, "max_iter": 30, "alpha": 1}
        )
        return MLPClassifier((64, 64), learning_rate_init=3e-3, random_state=seed, **how)
    raise InvalidInput(f"classifier={given!r} is not known. Use one of {', '.join(_KINDS)}.")
