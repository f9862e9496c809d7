"""An RBM of any units with lambda W in place of W, as a model of its visible units.

    u_lambda(v) = beta own(v) - sum_j log sum_h exp(-beta (own(h) - (b_j + lambda g_j(v)) h)),

own(v) and own(h) the energies of a layer alone and g the fields of the visible units on the hidden
ones, without their biases. lambda takes the place of beta.
"""

from typing import Any

import numpy as np

from ...systems import common_shape


class Scaled:
    """The machine `rbm` at inverse temperature beta with its weights times lambda."""

    lattice = None

    def __init__(self, rbm: Any, beta: float) -> None:
        self.rbm, self.beta = rbm, beta
        self.space, self.hidden_space = rbm.space, rbm.hidden_space
        self.capabilities = rbm.capabilities

    def energy(self, v: Any) -> np.ndarray:
        """The reduced energy of the target."""
        return self.reduced_energy(v, 1.0)

    def reduced_energy(self, v: Any, lam: Any) -> np.ndarray:
        """u_lambda(v), float64 (*batch,)."""
        v, lam = self.space.check(v, "v"), np.asarray(lam, np.float64)
        common_shape(v.shape[:-1], lam)
        return self._own(v) - self._log_sum(self._field(v), lam[..., None])

    def reduced_energies(self, v: Any, lams: Any) -> np.ndarray:
        """u at many lambdas from one product of v and W, float64 (len(lams), *batch)."""
        v = self.space.check(v, "v")
        field, own = self._field(v), self._own(v)
        return np.stack([own - self._log_sum(field, float(lam)) for lam in lams])

    def slope(self, v: Any, lam: Any) -> np.ndarray:
        """The derivative of the reduced energy by lambda, float64 (*batch,)."""
        field = self._field(self.space.check(v, "v"))
        mean = self._hidden_mean(field, np.asarray(lam, np.float64)[..., None])
        return np.asarray(-self.beta * (mean * field).sum(axis=-1))

    def reduced_gradient(self, v: Any, lam: Any) -> np.ndarray:
        """Of normal visible units: beta (v - a - lambda W <h>) / s^2, float64 (*batch, size)."""
        v, lam = self.space.check(v, "v"), np.asarray(lam, np.float64)[..., None]
        h = self._hidden_mean(self._field(v), lam)
        mean = self.rbm.visible_bias + lam * (h @ self.rbm.weights.T)
        return np.asarray(self.beta * (v - mean) / self.rbm.sigma**2)

    def hidden_logits(self, v: np.ndarray, lam: Any, dtype: Any = np.float64) -> np.ndarray:
        """Log-odds beta (b + lambda g), twice that of spins, (*batch, n_hidden)."""
        two = 2.0 if self.rbm.hidden_units.name == "spins" else 1.0
        return self._hidden_field(v, lam, dtype) * np.dtype(dtype).type(two * self.beta)

    def hidden_normal(
        self, v: np.ndarray, lam: Any, dtype: Any = np.float64
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean b + lambda g and standard deviation 1 / sqrt(beta), (*batch, n_hidden)."""
        mean = self._hidden_field(v, lam, dtype)
        return mean, np.broadcast_to(self.beta**-0.5, mean.shape)

    def visible_logits(self, h: np.ndarray, lam: Any, dtype: Any = np.float64) -> np.ndarray:
        """What the machine says of lambda h: its field a + W.h is linear in h."""
        scaled = np.asarray(lam, np.float64)[..., None] * h
        return np.asarray(self.rbm.visible_logits(scaled, np.asarray(self.beta), dtype))

    def visible_normal(
        self, h: np.ndarray, lam: Any, dtype: Any = np.float64
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean a + lambda W.h and standard deviation s / sqrt(beta), (*batch, n_visible)."""
        scaled = np.asarray(lam, np.float64)[..., None] * h
        mean, stddev = self.rbm.visible_normal(scaled, np.asarray(self.beta), dtype)
        return mean, stddev

    def _own(self, v: np.ndarray) -> np.ndarray:
        return np.asarray(self.beta * self.rbm.visible_energy(v))

    def _field(self, v: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
        """g(v), (*batch, n_hidden)."""
        return np.asarray(self.rbm.features(v, dtype) @ self.rbm._cast(dtype)[1])

    def _hidden_field(self, v: np.ndarray, lam: Any, dtype: Any) -> np.ndarray:
        bias = self.rbm.hidden_bias.astype(dtype, copy=False)
        return np.asarray(bias + np.asarray(lam, dtype)[..., None] * self._field(v, dtype))

    def _log_sum(self, field: np.ndarray, lam: Any) -> np.ndarray:
        f = self.rbm.hidden_bias + lam * field
        return np.asarray(self.rbm.hidden_units.log_sum(f, self.beta).sum(axis=-1))

    def _hidden_mean(self, field: np.ndarray, lam: Any) -> np.ndarray:
        f = self.rbm.hidden_bias + lam * field
        return np.asarray(self.rbm.hidden_units.mean(f, self.beta))

    def __repr__(self) -> str:
        return f"{self.rbm!r} with scaled weights"
