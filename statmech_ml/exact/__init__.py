"""Exact results, each with its equation, its source and the domain where it holds.

onsager       infinite square lattice (Onsager 1944, Yang 1952)
kaufman       finite square torus of any sides (Kaufman 1949)
ring          one-dimensional ring with a field, by its 2 x 2 transfer matrix
enumeration   every state of a small discrete model, in Gray code or batches
rbm           log Z of a restricted Boltzmann machine over its smaller layer
quadrature    log Z and averages of one-dimensional densities, with an error bound
"""

from statmech_ml.exact import enumeration, kaufman, onsager, quadrature, rbm, ring

__all__ = ["enumeration", "kaufman", "onsager", "quadrature", "rbm", "ring"]
