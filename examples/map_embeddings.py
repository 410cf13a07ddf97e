"""Tell structures apart that have no name: ``map_embeddings.py``.

Seven samples, warm crystals that the model has not learned from and a dense fluid, are put into
one heap of embeddings. Particles that are near each other there are of the same sample nearly
always, and ``map.png`` shows the heap from its two longest directions.
"""

import numpy as np
from matplotlib.figure import Figure
from scipy.spatial import KDTree

from hoomd_gala import Analyzer
from hoomd_gala.crystals import crystal, displace, unit_cell
from hoomd_gala.neighbors import nearest_neighbors
from hoomd_gala.systems import make_system

CELLS = ["cP6-Cu2O", "hP6-MoS2", "hP9-O2Si.3", "oC8-FeSe", "tP4-OPb", "oP8-MnP"]

#: Neighbors in the space of embeddings that are looked at.
NEAREST = 10


def fluid(n, rng):
    """Random positions, moved apart to 0.9 of the mean distance."""
    edge = n ** (1 / 3)
    positions, box = rng.uniform(-edge / 2, edge / 2, (n, 3)), [edge, edge, edge, 0, 0, 0]
    for _ in range(30):
        bonds = nearest_neighbors(positions, np.array(box), n=14).bonds
        lengths = np.maximum(np.linalg.norm(bonds, axis=-1, keepdims=True), 1e-9)
        positions -= (0.5 * np.maximum(0.9 - lengths, 0) * bonds / lengths).sum(axis=1)
    return make_system(positions, box)


rng = np.random.default_rng(1)
samples = {name: displace(crystal(unit_cell(name), 400), 0.05, rng) for name in CELLS}
samples["fluid"] = fluid(400, rng)

analyzer = Analyzer("embedding")
embeddings = [analyzer.analyze_system(system).embedding for system in samples.values()]
heap = np.concatenate(embeddings)
of_sample = np.repeat(np.arange(len(samples)), [len(part) for part in embeddings])

# the nearest of all is the particle itself
_, near = KDTree(heap).query(heap, NEAREST + 1)
same = (of_sample[near[:, 1:]] == of_sample[:, None]).mean(axis=1)
for i, name in enumerate(samples):
    own = of_sample == i
    print(f"{name}: {same[own].mean():.1%} of the nearest {NEAREST} are of the same sample")

centered = heap - heap.mean(axis=0)
directions = np.linalg.eigh(centered.T @ centered)[1][:, :-3:-1]
figure = Figure(figsize=(7, 5), layout="constrained")
axes = figure.subplots()
for i, name in enumerate(samples):
    axes.scatter(*(centered[of_sample == i] @ directions).T, s=5, label=name, linewidths=0)
axes.set(xlabel="principal component 1", ylabel="principal component 2")
figure.legend(loc="outside right upper", frameon=False, markerscale=3)
figure.savefig("map.png", dpi=120)
