"""`LatticeDenoiser`: the symmetries that it has by construction, and what it refuses."""

import numpy as np
import pytest
import torch

from statmech_ml.errors import InvalidInput
from statmech_ml.generative import LatticeDenoiser, lattice_denoiser
from statmech_ml.generative.lattice_denoiser import noise_field


def network(shape=(3, 4), **settings):
    """With all parameters away from zero, in doubles."""
    settings = {"width": 5, "depth": 2, "rng": 3, "dtype": torch.float64} | settings
    found = LatticeDenoiser(shape, **settings)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in found.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.add_(0.2 * noise)
    return found


def images(n, size, seed=0):
    g = np.random.default_rng(seed)
    return torch.tensor(g.normal(size=(n, size))), torch.tensor(g.uniform(-4.0, 3.0, (n, 1)))


@pytest.mark.parametrize(
    ("shape", "shift"), [((3, 4), (1, 2)), ((7,), (3,)), ((2, 3, 2), (1, 1, 1))]
)
@pytest.mark.parametrize("flip", [True, False])
def test_translation_moves_the_answer(shape, shift, flip):
    net = network(shape, flip=flip)
    x, level = images(6, net.size)
    axes = tuple(range(1, len(shape) + 1))

    def moved(y):
        return torch.roll(y.view(-1, *shape), shift, axes).reshape(len(y), -1)

    torch.testing.assert_close(net(moved(x), level), moved(net(x, level)), rtol=1e-12, atol=1e-12)
    assert (net(moved(x), level) - net(x, level)).abs().max() > 0.01


def test_flip_turns_the_answer():
    x, level = images(6, 12)
    net = network()
    torch.testing.assert_close(net(-x, level), -net(x, level), rtol=1e-13, atol=1e-13)
    free = network(flip=False)
    assert (free(-x, level) + free(x, level)).abs().max() > 0.01


def test_fourier_transforms_are_the_same_convolution(monkeypatch):
    x, level = images(5, 24)
    net = network((2, 3, 4))
    exact = net(x, level)
    monkeypatch.setattr(lattice_denoiser, "_PRODUCT", 0)
    torch.testing.assert_close(net(x, level), exact, rtol=1e-12, atol=1e-12)
    large = LatticeDenoiser((16, 9), 2, 1, rng=1)
    assert large(torch.ones(3, 144), torch.zeros(3, 1)).shape == (3, 144)


def test_every_site_is_heard_everywhere():
    net = network((4, 4), depth=1)
    x, level = images(1, 16)
    slope = torch.autograd.functional.jacobian(lambda y: net(y, level)[0], x)[:, 0]
    assert (slope.abs() > 1e-8).all()


def test_noise_field_is_bayes():
    """p(s = 1 | x) / p(s = -1 | x) = exp(2 B) of fair spins."""
    x, level = images(5, 3)
    bar = torch.sigmoid(level)
    log_odds = ((x + bar.sqrt()) ** 2 - (x - bar.sqrt()) ** 2) / (2.0 * (1.0 - bar))
    torch.testing.assert_close(2.0 * noise_field(x, level), log_odds, rtol=1e-12, atol=1e-12)


def test_conditions_and_level_are_heard():
    net = network(n_conditions=1)
    x, level = images(4, 12)
    t = torch.linspace(0.0, 1.0, 4, dtype=torch.float64)[:, None]
    first = net(x, level, t)
    assert (net(x, level, t + 1.0) - first).abs().amax(dim=1).min() > 1e-3
    assert (net(x, level + 1.0, t) - first).abs().amax(dim=1).min() > 1e-3


def test_same_seed_same_network_in_both_precisions():
    one, two = (LatticeDenoiser((4, 4), 6, rng=5, dtype=d) for d in (torch.float32, torch.float64))
    for name, value in two.state_dict().items():
        torch.testing.assert_close(one.state_dict()[name], value, check_dtype=False)
    assert one(torch.zeros(2, 16), torch.zeros(2, 1)).dtype == torch.float32
    assert "shape=(4, 4), width=6" in repr(one)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": 8}, "sides"),
        ({"shape": (4, 0)}, "side of the lattice"),
        ({"width": 0}, "width"),
        ({"depth": 0}, "depth"),
        ({"n_frequencies": 0}, "octaves"),
        ({"rng": None}, "rng"),
    ],
)
def test_bad_settings_are_refused(change, words):
    settings = {"shape": (4, 4), "rng": 1} | change
    with pytest.raises(InvalidInput, match=words):
        LatticeDenoiser(**settings)
