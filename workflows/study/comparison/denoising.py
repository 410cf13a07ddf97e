"""What template matching and dislocation extraction find before and after denoising.

Each case is a configuration at a temperature, and the same without: the crystal before it was
displaced, or the minimum of the energy that a simulated one belongs to.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from ase.lattice.cubic import FaceCenteredCubic
from numpy.typing import NDArray
from ovito.modifiers import DislocationAnalysisModifier

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import crystal, displace, unit_cell
from hoomd_gala.crystals.springs import displace_together
from hoomd_gala.crystals.stackings import stack
from hoomd_gala.files.shipped import DENOISE_STEPS
from hoomd_gala.neighbors.environments import PeriodicTree
from hoomd_gala.systems import System, as_system, lattice_vectors
from study.simulation.coexistence import element_coexistence
from study.simulation.dynamics import Dynamics
from study.simulation.forces import BOLTZMANN, ELEMENTS, interaction
from study.simulation.heated import element, model
from study.simulation.samples import Sample
from study.solids.defects import boundary
from study.solids.references import (
    CRYSTALLINE,
    DEFAULT_CUTOFF,
    TEMPLATES,
    Labels,
    ovito_data,
    template_matching,
)

#: Templates that are tried: all but those that few neighbors fit by chance.
_TRIED = [kind for kind in TEMPLATES if kind not in ("GRAPHENE", "ICO")]

#: Displacements of perfect crystals, in units of the shortest distance, and their particles.
_LEVELS, _N_PARTICLES = (0.06, 0.1), 2000

#: Particles of simulated crystals, of pair and of three-body potentials, which take long.
_N_SIMULATED, _N_THREE_BODY = 1000, 500

#: Potential whose liquid is looked at, its density, and temperatures, the lowest about freezing.
_LENNARD_JONES = {"form": "pair", "expression": "4*(x^-12-x^-6)", "cutoff": 2.5}
_LIQUID_DENSITY, _LIQUID_KT = 0.88, (0.8, 1.2)

#: Timesteps of runs with elements, in units of Å √(amu / eV), and how many.
_DT, _RUN = 0.02, 3000


class Case(NamedTuple):
    """A configuration with thermal displacements, and the same without.

    Attributes
    ----------
    name : str
    hot, still : System
    """

    name: str
    hot: System
    still: System


# ---- cases ----


def _displaced(name: str, still: System, levels: tuple[float, ...] = _LEVELS) -> Iterator[Case]:
    for level in levels:
        for kind, move in (("Gaussian", displace), ("springs", displace_together)):
            hot = move(still, level, np.random.default_rng(7))
            yield Case(f"{name}, {kind} {level:g}", hot, still)


def perfect_crystals() -> Iterator[Case]:
    """Yield crystals that template matching knows, displaced in both ways."""
    for name in CRYSTALLINE:
        yield from _displaced(name, crystal(unit_cell(name), _N_PARTICLES))


def left_out_crystals(names: Sequence[str]) -> Iterator[Case]:
    """Yield crystals that the model has not learned from, for which there are no templates."""
    for name in names:
        yield from _displaced(name, crystal(unit_cell(name), _N_PARTICLES))


def vacancies() -> Iterator[Case]:
    """Yield crystals without one of their particles."""
    for name in ("cF4-Cu", "cI2-W"):
        whole = crystal(unit_cell(name), _N_PARTICLES)
        positions, types = whole.positions[1:], whole.types[1:]
        still = whole._replace(positions=positions, types=types)
        yield from _displaced(f"{name} with a vacancy", still)


def stacking_faults() -> Iterator[Case]:
    """Yield close-packed layers with an intrinsic stacking fault, or a twin boundary."""
    for name, sequence in (("stacking fault", "ABCABCABABCABC"), ("twins", "ABCABCABCBACBACB")):
        layers = np.array(["ABC".index(letter) for letter in sequence])
        yield from _displaced(name, stack(layers, 12, False))


def hot_crystals() -> Iterator[Case]:
    """Yield simulated crystals up to melting, with what their energy's minimum is."""
    for form, symbol, structure in (
        ("tight binding", "Cu", "cF4-Cu"),
        ("tight binding", "Mg", "hP2-Mg"),
        ("Finnis-Sinclair", "Mo", "cI2-W"),
    ):
        fractions = [0.5, 0.8, 0.95]
        samples = element(form, symbol, structure, fractions, _RUN, _DT, _N_SIMULATED, 1)
        yield from _quenched(symbol, {"form": form, "symbol": symbol}, samples)
    silicon = {"form": "Stillinger-Weber", "three_body": 21.0}
    samples = model(silicon, "cF8-C", 0.455, [0.03, 0.05, 0.065], _RUN, 0.005, _N_THREE_BODY, 1)
    yield from _quenched("Stillinger-Weber silicon", silicon, samples)


def boundaries() -> Iterator[Case]:
    """Yield bicrystals with two symmetric boundaries Σ5 (310) [001]."""
    for form, symbol, structure in (
        ("tight binding", "Cu", "cF4-Cu"),
        ("Finnis-Sinclair", "Mo", "cI2-W"),
    ):
        samples = boundary(form, symbol, structure, 3, 2, [0.5, 0.8], _RUN, _DT, 1)
        yield from _quenched(f"{symbol} Σ5", {"form": form, "symbol": symbol}, samples)


def interfaces() -> Iterator[Case]:
    """Yield copper beside its melt."""
    form, symbol = "tight binding", "Cu"
    samples = element_coexistence(
        form, symbol, "cF4-Cu", "half", (2.5, 3000), (1.0, 2000), 12, _DT, 4000, 1
    )
    yield from _quenched(f"{symbol} and melt", {"form": form, "symbol": symbol}, samples)


def dislocations() -> Iterator[Case]:
    """Yield copper with a pair of edge dislocations, as a lattice plane ends in the middle."""
    it = ELEMENTS["tight binding"]["Cu"]
    atoms = FaceCenteredCubic(
        directions=[[1, -1, 0], [1, 1, 1], [-1, -1, 2]], size=(24, 7, 3), symbol="Cu",
        latticeconstant=it.a, pbc=True,
    )  # fmt: skip
    whole = as_system(atoms)
    x, y, _ = (whole.positions + whole.box[:3] / 2).T
    x = x % whole.box[0]
    gone_wide = it.a / 2**0.5
    middle = np.abs(y % whole.box[1] - whole.box[1] / 2) < whole.box[1] / 4
    # what is left of the slab fills its place
    positions = whole.positions.copy()
    spread = (x - gone_wide) * whole.box[0] / (whole.box[0] - gone_wide)
    positions[middle, 0] = (spread - whole.box[0] / 2)[middle]
    kept = ~(middle & (x < gone_wide - 1e-3))
    start = whole._replace(positions=positions[kept], types=whole.types[kept])
    potential = {"form": "tight binding", "symbol": "Cu"}
    relaxed = Dynamics(start, interaction(potential), _DT, 1).minimize()
    for fraction in (0.4, 0.7):
        hot = Dynamics(relaxed, interaction(potential), _DT, 1).run(
            fraction * it.melting * BOLTZMANN, _RUN
        )
        still = Dynamics(hot, interaction(potential), _DT, 1).minimize()
        yield Case(f"Cu with dislocations, {fraction:g} of melting", hot, still)


def liquids() -> Iterator[Case]:
    """Yield liquids of Lennard-Jones particles, and glasses that they are quenched to."""
    fcc = crystal(unit_cell("cF4-Cu"), _N_PARTICLES)
    scale = (len(fcc.positions) / _LIQUID_DENSITY / np.prod(fcc.box[:3])) ** (1 / 3)
    box = fcc.box * [scale, scale, scale, 1, 1, 1]
    motion = Dynamics(
        System(scale * fcc.positions, box, fcc.types), interaction(_LENNARD_JONES), 0.005, 1
    )
    motion.run(3.0, _RUN)
    for kT in reversed(_LIQUID_KT):
        hot = motion.run(kT, _RUN)
        still = Dynamics(hot, interaction(_LENNARD_JONES), 0.005, 1).minimize()
        yield Case(f"Lennard-Jones liquid, kT {kT:g}", hot, still)


def _quenched(name: str, potential: Mapping[str, Any], samples: Iterator[Sample]) -> Iterator[Case]:
    """Yield simulated samples with the minimum of the energy that each belongs to."""
    for sample in samples:
        still = Dynamics(sample.system, interaction(potential), _DT, 1).minimize()
        yield Case(f"{name}, {sample.name}".removesuffix(", "), sample.system, still)


#: Group of :func:`left_out_crystals`.
LEFT_OUT = "left-out crystal"

#: All other cases by what they are of.
CASES: dict[str, Callable[[], Iterator[Case]]] = {
    "perfect crystal": perfect_crystals,
    "vacancy": vacancies,
    "stacking": stacking_faults,
    "liquid": liquids,
    "hot crystal": hot_crystals,
    "boundary": boundaries,
    "interface": interfaces,
    "dislocation": dislocations,
}


# ---- measures ----


def labels(system: System) -> Labels:
    """Structures by template matching at its default cutoff, (N,)."""
    return template_matching(system, DEFAULT_CUTOFF, _TRIED).label


def _share(mask: NDArray[np.bool_]) -> float:
    return round(float(mask.mean()), 5)


def line_length(system: System) -> float:
    """Length of all dislocations of an fcc crystal, by DXA, in the unit of the positions."""
    data = ovito_data(system)
    data.apply(DislocationAnalysisModifier())
    return round(float(data.attributes["DislocationAnalysis.total_line_length"]), 2)


def displacement(system: System, still: System) -> float:
    """How large displacements are in each direction, in units of the shortest distance.

    Found from the changes of bonds, of which a displacement that neighbors share is none; of
    independent ones, the variance is half of that of the bonds.
    """
    found = PeriodicTree.build(still.positions, still.box).nearest()
    moved = system.positions - still.positions
    lattice = lattice_vectors(still.box)
    change = moved[found.neighbors] - moved[:, None]
    change -= np.round(change @ np.linalg.inv(lattice)) @ lattice
    shortest = np.linalg.norm(found.bonds[:, 0], axis=-1).mean()
    return float(np.sqrt((change**2).mean() / 2) / shortest)


def row(analyzer: Analyzer, group: str, case: Case, steps: int = DENOISE_STEPS) -> dict[str, Any]:
    """Compare what is found in a case before and after denoising, and without displacements.

    Returns
    -------
    dict
        ``crystalline``: shares of particles that template matching names; ``agree``: shares named
        as they are without displacements; ``displacement``: how large displacements are; for
        dislocations, the ``length`` of lines.
    """
    positions = analyzer.denoise(case.hot.positions, case.hot.box, steps=steps)
    after = case.hot._replace(positions=positions)
    found = {"before": case.hot, "after": after, "still": case.still}
    named = {key: labels(system) for key, system in found.items()}
    result: dict[str, Any] = {
        "group": group,
        "case": case.name,
        "particles": len(positions),
    }
    for key, label in named.items():
        result[f"crystalline {key}"] = _share(np.isin(label, CRYSTALLINE))
    for key in ("before", "after"):
        result[f"agree {key}"] = _share(named[key] == named["still"])
        result[f"displacement {key}"] = round(displacement(found[key], case.still), 4)
    for key, system in found.items():
        result[f"length {key}"] = line_length(system) if group == "dislocation" else ""
    return result


def seconds(analyzer: Analyzer, other: Analyzer, n_particles: int = 8000) -> dict[str, float]:
    """Time of a step, and of labels by another model, on one thread, per particle."""
    system = displace(crystal(unit_cell("cF4-Cu"), n_particles), 0.08, np.random.default_rng(1))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        analyzer.denoise_system(system, 1)
        other.analyze_system(system)
        times = np.zeros((5, 2))
        for spent in times:
            started = time.process_time()
            analyzer.denoise_system(system, 1)
            between = time.process_time()
            other.analyze_system(system)
            spent[:] = between - started, time.process_time() - between
    finally:
        torch.set_num_threads(threads)
    step = np.median(times[:, 0]) / len(system.positions)
    return {
        "time of a step / µs": round(1e6 * float(step), 1),
        "time of a step / time of labels": round(float(np.median(times[:, 0] / times[:, 1])), 3),
    }
