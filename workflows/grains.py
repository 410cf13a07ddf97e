"""Grains of a polycrystal, by what two methods say of each particle's orientation.

The autoencoder turns every environment into a frame that turns along with it. Such a frame can only
point where the environment's own symmetry lets it: where that leaves no direction unlike its
opposite, as in all cubic and hexagonal close packings, only heat and the choice of the twentieth
neighbor are left to decide. Here it is measured what that is worth.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from analysis import plt, save_figure
from measures import area_under_roc
from numpy.typing import NDArray
from ovito.modifiers import PolyhedralTemplateMatchingModifier
from references import ovito_data
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from hoomd_gala.environments import PeriodicTree, scale_bonds
from hoomd_gala.errors import InputError
from hoomd_gala.models import load_model
from hoomd_gala.networks import Autoencoder, encode_types
from hoomd_gala.structures import crystal, displace, unit_cell
from hoomd_gala.systems import Array, System, lattice_vectors

#: Rotations that leave a structure as it is, by Schoenflies symbol, and OVITO's name of it.
STRUCTURES = {"cF4-Cu": ("O", "FCC"), "cI2-W": ("O", "BCC"), "hP2-Mg": ("D6", "HCP")}

#: Particles of different grains that come closer than this are one.
_TOO_CLOSE = 0.75

#: Pairs of particles whose orientations are compared.
_N_PAIRS = 20_000

#: Degrees that orientations of the same grain differ by at most.
_SAME = 10.0


class Polycrystal(NamedTuple):
    """A crystal of several grains.

    Attributes
    ----------
    cell : str
        Unit cell.
    system : System
        Particles, the shortest distance about 1.
    grain : (N,) int64
        Grain of each.
    turned : Rotation
        Orientation of each grain.
    """

    cell: str
    system: System
    grain: NDArray[np.int64]
    turned: Rotation


def polycrystal(cell: str, n_grains: int, edge: float, noise: float, seed: int) -> Polycrystal:
    """Fill a periodic cube with grains of random orientation, around random points."""
    if cell not in STRUCTURES:
        raise InputError(f"grains can be made of {', '.join(STRUCTURES)}, not of {cell}.")
    rng = np.random.default_rng(seed)
    centers = rng.uniform(-edge / 2, edge / 2, (n_grains, 3))
    turned = Rotation.random(n_grains, rng=rng)
    # enough of a crystal to fill the cube whichever way it is turned
    perfect = crystal(unit_cell(cell), 64)
    lattice = lattice_vectors(perfect.box)
    reach = np.sqrt(3) * edge
    n = np.ceil(reach * np.linalg.norm(np.linalg.inv(lattice), axis=0)).astype(int)
    sides = [np.arange(-count, count + 1) for count in n]
    shifts = np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(-1, 3) @ lattice
    points = (perfect.positions[None] + shifts[:, None]).reshape(-1, 3)
    # distances to the centers, periodic as the cube is
    tree = KDTree(centers + edge / 2, boxsize=edge)
    positions, grains = [], []
    for index in range(n_grains):
        own = turned[index].apply(points) + centers[index]
        own = own[(abs(own - centers[index]) < edge / 2).all(axis=1)]
        own = np.mod(own + edge / 2, edge)
        own = own[tree.query(own)[1] == index]
        positions.append(own)
        grains.append(np.full(len(own), index))
    together, grain = np.concatenate(positions), np.concatenate(grains)
    close = KDTree(together, boxsize=edge).query_pairs(_TOO_CLOSE, output_type="ndarray")
    kept = np.setdiff1d(np.arange(len(together)), close[:, 1])
    box = np.array([edge, edge, edge, 0, 0, 0])
    system = System(together[kept] - edge / 2, box, np.zeros(len(kept), np.int64))
    return Polycrystal(cell, displace(system, noise, rng), grain[kept], turned)


class Orientations(NamedTuple):
    """Orientation of each particle by a method; rows without one are left out.

    Attributes
    ----------
    rows : (m,) int64
        Particles.
    turned : Rotation
        Orientation of each of these.
    """

    rows: NDArray[np.int64]
    turned: Rotation


def orientations(sample: Polycrystal, model: str) -> dict[str, Orientations]:
    """Orientations by an autoencoder, and by template matching."""
    return {
        "autoencoder": _by_autoencoder(sample.system, model),
        "PTM": _by_templates(sample),
    }


def _by_autoencoder(system: System, model: str) -> Orientations:
    network, info = load_model(model).network, load_model(model).info
    if not isinstance(network, Autoencoder):
        raise InputError(f"{model} is trained on {info.task}; orientations take an autoencoder.")
    bonds = PeriodicTree.build(system.positions, system.box).nearest().bonds
    scaled = torch.as_tensor(scale_bonds(bonds, info.length_scale), dtype=torch.float32)
    blind = torch.zeros(bonds.shape[:2], dtype=torch.int64)
    types = encode_types(blind[:, 0], blind, info.core.max_types)
    with torch.inference_mode():
        parts = [
            network.orientation(scaled[i : i + 256], types[i : i + 256])
            for i in range(0, len(scaled), 256)
        ]
    # axes are rows: what turns the frame of the laboratory into them are columns
    axes = torch.cat(parts).double().numpy().transpose(0, 2, 1)
    return Orientations(np.arange(len(axes)), Rotation.from_matrix(axes))


def _by_templates(sample: Polycrystal) -> Orientations:
    modifier = PolyhedralTemplateMatchingModifier(output_orientation=True)
    data = ovito_data(sample.system)
    data.apply(modifier)
    wanted = getattr(modifier.Type, STRUCTURES[sample.cell][1])
    rows = np.flatnonzero(np.asarray(data.particles["Structure Type"]) == int(wanted))
    quaternions = np.asarray(data.particles["Orientation"])[rows]
    return Orientations(rows, Rotation.from_quat(quaternions))


def misorientation(first: Rotation, second: Rotation, group: str) -> Array:
    """Smallest angle in degrees between orientations that a symmetry leaves open, (m,)."""
    between = first.inv() * second
    symmetries = Rotation.create_group(group)
    angles = [(between * symmetries[i]).magnitude() for i in range(len(symmetries))]
    return np.rad2deg(np.min(angles, axis=0))


def scores(sample: Polycrystal, found: dict[str, Orientations], seed: int) -> list[dict[str, Any]]:
    """How well pairs of particles of the same grain are told from others by orientation alone.

    An area under the ROC curve of 1 tells all, 0.5 none.
    """
    rng = np.random.default_rng(seed)
    group = STRUCTURES[sample.cell][0]
    table = []
    for method, (rows, turned) in found.items():
        first, second = rng.integers(len(rows), size=(2, _N_PAIRS))
        apart = misorientation(turned[first], turned[second], group)
        same = sample.grain[rows[first]] == sample.grain[rows[second]]
        table.append(
            {
                "cell": sample.cell,
                "method": method,
                "particles": len(rows),
                "of": len(sample.grain),
                "same grain, median degrees": float(np.median(apart[same])),
                "other grain, median degrees": float(np.median(apart[~same])),
                f"same grain within {_SAME:g} degrees": float((apart[same] < _SAME).mean()),
                "area under ROC": area_under_roc(apart[~same], apart[same]),
            }
        )
    return table


def _color(turned: Rotation, group: str) -> Array:
    """Colors that do not change under a symmetry, (m, 3): where three axes of the cube point.

    Sums of fourth powers of the axes' components are the same for all equivalent orientations.
    """
    symmetries = Rotation.create_group(group)
    powers = np.zeros((len(turned), 3))
    for i in range(len(symmetries)):
        axes = (turned * symmetries[i]).as_matrix()
        powers += axes[:, :, 0] ** 4 + 0.7 * axes[:, :, 2] ** 4
    low, high = powers.min(axis=0), powers.max(axis=0)
    return (powers - low) / np.maximum(high - low, 1e-12)


def draw(path: Path, sample: Polycrystal, found: dict[str, Orientations]) -> None:
    """A slice of the polycrystal: its grains, and the orientations by each method as colors."""
    group = STRUCTURES[sample.cell][0]
    figure, axes = plt.subplots(
        1, 1 + len(found), figsize=(5 * (1 + len(found)), 5), layout="constrained"
    )
    points = sample.system.positions
    truth = Orientations(np.arange(len(points)), sample.turned[sample.grain])
    shown = {"grains as they were made": truth, **found}
    for part, (title, (rows, turned)) in zip(axes, shown.items(), strict=True):
        inside = abs(points[rows, 2]) < 1.0
        part.scatter(
            *points[rows[inside], :2].T, s=40, c=_color(turned[inside], group), linewidths=0
        )
        part.set(title=title, aspect="equal")
        part.set_axis_off()
    figure.suptitle(f"{sample.cell}, a slice; colors are the same where orientations are")
    save_figure(path, figure)
