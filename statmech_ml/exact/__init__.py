"""Exact results, each with its equation, its source and the domain where it holds.

onsager         infinite square lattice (Onsager 1944, Yang 1952)
kaufman         finite square torus of any sides (Kaufman 1949)
torus           square tori without a field, any couplings: four Pfaffians and their signs
planar          open square lattices and cylinders without a field, any couplings
transfer_matrix strips and small tori, any couplings and fields; moments and exact samples
correlations    <s_i s_j> on small square tori, by their transfer matrix
ring            one-dimensional ring with a field, by its 2 x 2 transfer matrix
chains          open and closed chains of Ising or Potts spins, with disorder and fields
tree            trees and forests of Ising or Potts spins, by belief propagation
enumeration     every state of a small discrete model, in Gray code or batches
pairwise        up to 44 spins with any pairwise couplings, by matrix products
rbm             log Z and means of RBMs of any units, Boltzmann machines, Hopfield networks
gaussian_rbm    log Z of one with normal visible units, a sum of Gaussians
gaussian        correlated Gaussians (log Z, entropy, divergence) and the free field
langevin        what unadjusted Langevin samplers do to Gaussians: variances at finite steps
quadrature      log Z and averages of one-dimensional densities, with an error bound
plane           the same of smooth densities in two dimensions, on a rectangle
adversarial     best discriminator, value and gradients of generative adversarial networks
targets         distributions for generative models to learn: score, denoiser, mmse under noise
"""

from statmech_ml.exact import (
    adversarial,
    chains,
    correlations,
    enumeration,
    gaussian,
    gaussian_rbm,
    kaufman,
    langevin,
    onsager,
    pairwise,
    planar,
    plane,
    quadrature,
    rbm,
    ring,
    targets,
    torus,
    transfer_matrix,
    tree,
)

__all__ = [
    "adversarial",
    "chains",
    "correlations",
    "enumeration",
    "gaussian",
    "gaussian_rbm",
    "kaufman",
    "langevin",
    "onsager",
    "pairwise",
    "planar",
    "plane",
    "quadrature",
    "rbm",
    "ring",
    "targets",
    "torus",
    "transfer_matrix",
    "tree",
]
