"""A scikit-learn estimator for those who use `sklearn.neural_network.BernoulliRBM` today.

The parameters and attributes have the names that they have there, and so has what it learns: {0, 1}
units, weights by persistent contrastive divergence and plain gradient descent, every minibatch
once an epoch. Beyond it: several sweeps and any number of chains, weight decay, a score that is the
exact pseudo-likelihood and no random proxy of it, the log-likelihood itself, long Gibbs runs, and
`model_`, the array model that every sampler and estimator here takes.

Data are bits, or numbers in [0, 1] which the positive phase takes as means of bits; anything else
is refused, where BernoulliRBM trains on it. `threshold=` makes bits of other data.
"""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from ..errors import InvalidInput
from ..models import BernoulliRBM
from ..partition import LogZ, Weights, ais, exact_sum
from ..samplers import BlockGibbs, State
from ._arguments import check_at_least
from .contrastive import PersistentCD
from .descent import EXPLODED
from .pseudo_likelihood import pseudo_log_likelihood

_EXACT = 20  # units of a smaller layer that is summed over without being asked


class RBMEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Bernoulli restricted Boltzmann machine with the interface of scikit-learn.

    Parameters
    ----------
    n_components : int, default 256
        Hidden units.
    learning_rate : float, default 0.1
    batch_size : int, default 10
    n_iter : int, default 10
        Epochs of `fit`.
    k : int, default 1
        Gibbs sweeps of the persistent chains at each step.
    n_chains : int, optional
        Persistent chains; as many as `batch_size` by default.
    weight_decay : float, default 0.0
        Adds this times the weights to their gradient.
    threshold : float, optional
        Data become the bits ``X > threshold``. Without it they must lie in [0, 1].
    verbose : bool or int, default 0
        Print the pseudo-likelihood of the data after each epoch of `fit`.
    random_state : int, RandomState or None
        As everywhere in scikit-learn; None takes numpy's global state, and repeats nothing.

    Attributes
    ----------
    components_ : array (n_components, n_features)
        The weights, of the dtype of the data (float32 or float64), as are the biases; learnt in
        single precision.
    intercept_hidden_ : array (n_components,)
    intercept_visible_ : array (n_features,)
    chains_, h_samples_ : array (n_chains, n_features) and (n_chains, n_components), int8
        The visible and the hidden units of the persistent chains.
    model_ : BernoulliRBM
        The machine as an array model.

    >>> X = np.random.default_rng(0).integers(0, 2, (100, 6))
    >>> rbm = RBMEstimator(n_components=3, n_iter=2, random_state=0).fit(X)
    >>> rbm.transform(X).shape, rbm.sample(5, n_sweeps=10).shape
    ((100, 3), (5, 6))
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, EXPLODED, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "n_iter": [Interval(Integral, 0, None, closed="left")],
        "k": [Interval(Integral, 1, None, closed="left")],
        "n_chains": [None, Interval(Integral, 1, None, closed="left")],
        "weight_decay": [Interval(Real, 0, EXPLODED, closed="left")],
        "threshold": [None, Real],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_components: int = 256,
        *,
        learning_rate: float = 0.1,
        batch_size: int = 10,
        n_iter: int = 10,
        k: int = 1,
        n_chains: int | None = None,
        weight_decay: float = 0.0,
        threshold: float | None = None,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_iter = n_iter
        self.k = k
        self.n_chains = n_chains
        self.weight_decay = weight_decay
        self.threshold = threshold
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "RBMEstimator":
        """Learn from X (n_samples, n_features), from the beginning."""
        self._validate_params()
        X = self._given(X, reset=True)
        self._begin(X)
        for epoch in range(self.n_iter):
            order = np.random.default_rng([self._seed, epoch]).permutation(len(X))
            batches = [order[i : i + self.batch_size] for i in range(0, len(X), self.batch_size)]
            self._learn(X, batches)
            if self.verbose:
                value = self._pseudo_likelihood(np.rint(X)).mean()
                print(f"[RBMEstimator] epoch {epoch + 1}, pseudo-likelihood = {value:.2f}")
        return self

    def partial_fit(self, X: Any, y: Any = None) -> "RBMEstimator":
        """One step on X (n_samples, n_features) as one minibatch, from where the last one ended."""
        self._validate_params()
        first = not hasattr(self, "components_")
        X = self._given(X, reset=first)
        if first:
            self._begin(X)
        self._learn(X, [np.arange(len(X))])
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Means of the hidden units given X: P(h = 1 | v), (n_samples, n_components)."""
        X = self._fitted(X)
        with torch.no_grad():
            mean: Tensor = self._shell(X.dtype).hidden_mean(torch.from_numpy(X))
        return mean.numpy()

    def score_samples(self, X: Any) -> np.ndarray:
        """Pseudo-log-likelihood sum_i log p(v_i | v_-i) of bits X, exact, float64 (n_samples,)."""
        return self._pseudo_likelihood(self._bits(X))

    def log_likelihood(self, X: Any, log_z: LogZ | float | None = None) -> np.ndarray:
        """log p(v) of bits X, float64 (n_samples,).

        log_z: what `partition` found for `model_`. By default the sum over the smaller layer where
        that has at most 20 units, else annealed importance sampling (1000 levels, 100 chains).
        """
        X = self._bits(X)
        model = self.model_
        if log_z is None:
            if min(model.n_visible, model.n_hidden) <= _EXACT:
                log_z = exact_sum(model)
            else:
                log_z = ais(Weights(model), n_levels=1000, n_chains=100, rng=self._seed)
        value = log_z.value if isinstance(log_z, LogZ) else float(log_z)
        if not np.isfinite(value):
            raise InvalidInput(f"log_z={log_z!r} is no finite number.")
        return -model.free_energy(X) - value

    def gibbs(self, v: Any) -> np.ndarray:
        """One Gibbs sweep from bits v (n_samples, n_features): h given v, then v given h; int8.

        Each call of `gibbs` or `sample` draws anew; learning is not touched by them.
        """
        return self._swept(self._bits(v).astype(np.int8), 1, self._next_draw())

    def sample(self, n_samples: int = 1, n_sweeps: int = 1000) -> np.ndarray:
        """Configurations of independent Gibbs chains from random starts, int8 (n, n_features).

        They are samples of the machine where `n_sweeps` exceeds its mixing time by far.
        """
        check_is_fitted(self)
        check_at_least("n_samples", n_samples, 1, "configurations")
        check_at_least("n_sweeps", n_sweeps, 1, "sweeps")
        seed = self._next_draw()
        start = self.model_.space.random(seed, np.arange(n_samples, dtype=np.uint32))
        return self._swept(start, n_sweeps, seed)

    @property
    def model_(self) -> BernoulliRBM:
        """The machine as an array model, float64."""
        check_is_fitted(self)
        return BernoulliRBM(self.intercept_visible_, self.intercept_hidden_, self.components_.T)

    def _begin(self, X: np.ndarray) -> None:
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._steps = self._draws = 0
        n_features = X.shape[1]
        weights = np.random.default_rng(self._seed).normal(
            0.0, 0.01, (self.n_components, n_features)
        )
        self.components_ = weights.astype(X.dtype)
        self.intercept_hidden_ = np.zeros(self.n_components, X.dtype)
        self.intercept_visible_ = np.zeros(n_features, X.dtype)
        self._n_features_out = self.n_components
        method = PersistentCD(self.k, self.n_chains or self.batch_size)
        carried = method.init(self._shell(np.float32), X, self._seed)
        self.chains_, self.h_samples_ = carried["x"], carried["h"]

    def _learn(self, X: np.ndarray, batches: list[np.ndarray]) -> None:
        """A step of gradient descent for each batch, rows of X, in single precision."""
        shell = self._shell(np.float32)
        method = PersistentCD(self.k, len(self.chains_))
        data = torch.from_numpy(X.astype(np.float32, copy=False))
        carried = {"x": self.chains_, "h": self.h_samples_}
        named = dict(shell.named_parameters())
        parameters = list(named.values())
        # torch takes no larger number; such a step is refused below whichever it was.
        rate = min(self.learning_rate, float(np.finfo(np.float32).max))
        decay = 1.0 - self.learning_rate * self.weight_decay
        for rows in batches:
            batch = data.index_select(0, torch.from_numpy(rows))
            step = method.gradient(shell, batch, carried, self._seed, self._steps)
            carried, self._steps = step.carried, self._steps + 1
            gradients = [step.gradients[name] for name in named]
            with torch.no_grad():
                if decay != 1.0:
                    shell.weights.mul_(decay)
                torch._foreach_add_(parameters, gradients, alpha=-rate)
        largest = max(float(p.detach().abs().max()) for p in parameters)
        if not largest <= EXPLODED:  # NaN is not
            raise InvalidInput(
                f"The parameters grew to {largest:.3g} with learning_rate={self.learning_rate:g}; "
                "the estimator keeps those of before. Use a smaller one."
            )
        self.chains_, self.h_samples_ = carried["x"], carried["h"]
        dtype = self.components_.dtype
        self.components_ = np.ascontiguousarray(shell.weights.detach().numpy().T, dtype)
        self.intercept_hidden_ = shell.hidden_bias.detach().numpy().astype(dtype)
        self.intercept_visible_ = shell.visible_bias.detach().numpy().astype(dtype)

    def _shell(self, dtype: Any) -> Any:
        precision = torch.float32 if np.dtype(dtype) == np.float32 else torch.float64
        return self.model_.thaw(precision)

    def _pseudo_likelihood(self, X: np.ndarray) -> np.ndarray:
        shell = self._shell(np.float64)
        with torch.no_grad():
            return np.asarray(pseudo_log_likelihood(shell, torch.from_numpy(X.astype(np.float64))))

    def _next_draw(self) -> int:
        """The seed of the next draw."""
        self._draws += 1
        return int(
            np.random.SeedSequence((self._seed, self._draws)).generate_state(1, np.uint64)[0]
        )

    def _swept(self, v: np.ndarray, n_sweeps: int, seed: int) -> np.ndarray:
        state = State(v, seed, np.arange(len(v), dtype=np.uint32), 0)
        return BlockGibbs().advance(self.model_, state, np.ones(len(v)), n_sweeps)[0].x

    def _given(self, X: Any, reset: bool) -> np.ndarray:
        """X as a float array of bits or of numbers in [0, 1]."""
        if isinstance(X, np.ma.MaskedArray):
            raise InvalidInput("X is a masked array, and what is masked would be lost. Fill it in.")
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=reset)
        if self.threshold is not None:
            return (self.threshold < X).astype(X.dtype)
        if X.min() < 0.0 or X.max() > 1.0:
            raise InvalidInput(
                f"X holds values from {X.min():g} to {X.max():g}, but the units are bits: data "
                "must be 0 or 1, or means of bits in between. Scale them (MinMaxScaler), or give "
                "threshold= to make bits of them."
            )
        return X

    def _fitted(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return self._given(X, reset=False)

    def _bits(self, X: Any) -> np.ndarray:
        X = self._fitted(X)
        if not np.isin(X, (0.0, 1.0)).all():
            raise InvalidInput(
                "X holds values between 0 and 1, but a probability is one of bits. Round them, or "
                "fit with threshold=."
            )
        return X

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.non_deterministic = False
        return tags
