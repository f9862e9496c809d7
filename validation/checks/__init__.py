"""Every check, one file per room of the library."""

from pathlib import Path

from validation.check import Check

from . import (
    approximations,
    autoencoders,
    autoregressive,
    calibration,
    datasets,
    deep_energies,
    diffusion,
    diffusion_bound,
    divergences,
    energy_models,
    exact,
    exact_lattices,
    exact_models,
    exact_targets,
    exchange,
    gan,
    gan_players,
    gan_trained,
    hmc,
    ising_rbm,
    langevin,
    large_glass,
    partition,
    potentials,
    rbm,
    samplers,
    spin_diffusion,
    states,
    statistics,
    tempered_training,
    training,
    wrong_physics,
)

ROOMS = (
    exact,
    exact_lattices,
    exact_models,
    exact_targets,
    states,
    samplers,
    exchange,
    langevin,
    hmc,
    statistics,
    rbm,
    energy_models,
    ising_rbm,
    training,
    potentials,
    partition,
    approximations,
    calibration,
    large_glass,
    tempered_training,
    deep_energies,
    divergences,
    diffusion,
    diffusion_bound,
    spin_diffusion,
    autoregressive,
    gan,
    gan_players,
    gan_trained,
    autoencoders,
    datasets,
    wrong_physics,
)


def all_checks(dataset: Path | None = None) -> tuple[Check, ...]:
    """The checks of all rooms, fast and full; with a dataset on disk, also the check of that
    one.
    """
    found = [check for room in ROOMS for check in room.CHECKS]
    if dataset is not None:
        found.append(datasets.given(dataset))
    return tuple(found)
