"""A model of your own: the Baxter-Wu model, three-spin interactions on the triangular lattice.

    E(s) = -J sum over all triangles of s_i s_j s_k,    s_i in {-1, +1}

    python examples/own_model.py

Baxter and Wu solved it (Phys. Rev. Lett. 31, 1294 (1973), doi:10.1103/PhysRevLett.31.1294); its
critical temperature is that of the Ising model on the square lattice, 2 / log(1 + sqrt 2). All the
package needs is the class below: plain Python, no numba. The script compares two samplers with the
enumeration of all states of a small torus, and then looks at a larger one on both sides of T_c.
"""

from typing import NamedTuple

import numpy as np

from statmech_ml import lattices, sample
from statmech_ml.exact import enumeration, onsager
from statmech_ml.samplers import HeatBath, Metropolis
from statmech_ml.spaces import Spins
from statmech_ml.systems import Model


class BaxterWuEnergy(NamedTuple):
    """Compiled on use. Fields: triangles int64 (n, 6, 2), the other corners at each site; J."""

    triangles: np.ndarray
    coupling: float

    def energy(self, x):
        """E(s): every triangle is seen from its three corners."""
        total = 0
        for i in range(x.shape[0]):
            for t in range(self.triangles.shape[1]):
                j, k = self.triangles[i, t, 0], self.triangles[i, t, 1]
                total += int(x[i]) * int(x[j]) * int(x[k])
        return -self.coupling * total / 3.0

    def delta_energy(self, x, site, value):
        """Energy change when x[site] becomes `value`."""
        total = 0
        for t in range(self.triangles.shape[1]):
            j, k = self.triangles[site, t, 0], self.triangles[site, t, 1]
            total += int(x[j]) * int(x[k])
        return self.coupling * total * (int(x[site]) - int(value))


def baxter_wu(side: int, coupling: float = 1.0) -> Model:
    """The model on a periodic triangular lattice; multiples of 3 leave no frustration."""
    lattice = lattices.triangular(side)
    # Neighbours of a site in the order in which they stand around it: consecutive ones are bonded.
    steps = np.array([(0, 1), (1, 0), (1, -1), (0, -1), (-1, 0), (-1, 1)])
    cells = np.indices((side, side)).reshape(2, -1).T
    around = [np.ravel_multi_index(((cells + s) % side).T, (side, side)) for s in steps]
    corners = [np.stack([around[t], around[(t + 1) % 6]], axis=-1) for t in range(6)]
    return Model(Spins(side**2), BaxterWuEnergy(np.stack(corners, axis=1), coupling), lattice)


def main() -> None:
    """Print energies per site with errors beside exact ones."""
    small = baxter_wu(3)
    print("3 x 3 torus, energy per site")
    for beta in (0.2, 0.35):
        exact = enumeration.energy_per_site(small, beta)
        for sampler in (HeatBath(), Metropolis()):
            chain = sample(small, sampler, beta=beta, n_chains=8, n_draws=4000, burn_in=200, rng=1)
            found = chain.estimate("energy_per_site")
            name = f"beta {beta:4.2f}  {type(sampler).__name__:10s}"
            print(f"  {name}  {found}  exact {exact:.5f}  z {found.z(exact):+.1f}")

    critical = onsager.critical_temperature()
    large = baxter_wu(24)
    print(f"24 x 24 torus, energy per site (T_c = {critical:.4f}, u(T_c) = -sqrt 2)")
    for temperature in (1.5, 3.0):
        chain = sample(
            large, temperature=temperature, n_chains=4, n_draws=500, start="ordered", rng=2
        )
        print(f"  T {temperature:3.1f}  {chain.estimate('energy_per_site')}")


if __name__ == "__main__":
    main()
