"""Stripes are found by topology: up and down spins both wind around the torus."""

import numpy as np
import pytest

from ising_data.stripes import striped


def bands(rows, columns, width):
    x = np.ones((rows, columns), np.int8)
    x[:width] = -1
    return x


@pytest.mark.parametrize("shift", [0, 3])
def test_bands_are_found_in_both_directions(shift):
    x = np.roll(bands(8, 12, 3), shift, axis=0)
    assert striped(x)
    assert striped(x.T)
    assert striped(-x)


def test_diagonal_stripes_are_found():
    i, j = np.indices((8, 8))
    for x in (np.where((i + j) % 8 < 4, 1, -1), np.where((i - j) % 8 < 4, 1, -1)):
        assert striped(x)


def test_droplets_and_noise_are_not_stripes(seed):
    droplet = np.ones((10, 10), np.int8)
    droplet[2:8, 2:8] = -1
    assert not striped(droplet)
    # A droplet across the seam looks like two bands to a sum over rows.
    assert not striped(np.roll(droplet, (5, 5), axis=(0, 1)))
    assert not striped(np.ones((5, 5), np.int8))
    # At infinite temperature nearest-neighbour clusters do not wind: 0.5 < 0.593.
    free = np.random.default_rng(seed).choice([-1, 1], (200, 64, 64))
    assert striped(free).mean() < 0.05


def test_thermal_noise_does_not_hide_stripes(seed):
    x = np.repeat(bands(32, 32, 16)[None], 50, axis=0)
    noise = np.random.default_rng(seed).random(x.shape) < 0.05
    assert striped(np.where(noise, -x, x)).mean() > 0.95


def test_shape_and_batches():
    x = np.stack([bands(4, 4, 2), np.ones((4, 4), np.int8)])
    assert striped(np.broadcast_to(x, (3, 2, 4, 4))).tolist() == [[True, False]] * 3


def test_diagonal_bond_of_the_triangular_lattice():
    # Up spins along an antidiagonal are bonded on the triangular lattice only.
    x = np.where(np.eye(6, dtype=bool)[:, ::-1], 1, -1)
    assert not striped(x)
    assert striped(x, diagonal=True)
    assert not striped(x[:, ::-1], diagonal=True)
