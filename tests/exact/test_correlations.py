"""Correlations on small tori, against enumeration and sum rules."""

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import correlations, enumeration, kaufman, transfer_matrix
from statmech_ml.models import Ising


@pytest.mark.parametrize(
    ("Lx", "Ly", "beta", "coupling", "field"),
    [(3, 4, 0.4, 1.0, 0.0), (4, 3, 0.7, -0.8, 0.3), (2, 5, 0.5, 0.6, -0.2), (4, 2, 1.3, 1.0, 0.1)],
)
def test_enumeration(Lx, Ly, beta, coupling, field):
    model = Ising(lattices.square(Lx, Ly), coupling, field)
    found = correlations.spin_spin(Lx, Ly, beta, coupling, field)
    for site in range(Lx * Ly):
        exact = enumeration.mean(model, beta, lambda x, j=site: 1.0 * x[..., 0] * x[..., j])
        assert found.flat[site] == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.2, 0.4406868, 1.0, 10.0])
def test_sum_rules_of_8x8(beta):
    G = correlations.spin_spin(8, 8, beta)
    assert -2 * G[0, 1] == pytest.approx(kaufman.energy_per_site(8, 8, beta=beta), abs=1e-10)
    model = Ising(lattices.square(8, 8))
    values, p = transfer_matrix.magnetization_distribution(model, beta)
    assert 64 * G.sum() == pytest.approx(p @ values.astype(float) ** 2, rel=1e-10)
    assert pytest.approx(G.T, abs=1e-12) == G
    assert pytest.approx(np.roll(G[::-1], 1, axis=0), abs=1e-12) == G


def test_wide_is_refused():
    with pytest.raises(InvalidInput, match="rows of 11 sites"):
        correlations.spin_spin(11, 12, 0.4)
    with pytest.raises(InvalidInput, match="Lx"):
        correlations.spin_spin(1, 4, 0.4)
