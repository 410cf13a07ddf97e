"""Write what the shipped models make of fixed systems: ``python tests/golden.py tests/golden.npz``.

``tests/test_golden.py`` compares with that file, so that it is only written anew when a model is.
"""

import sys
from pathlib import Path

import numpy as np

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals import crystal, displace, droplet, unit_cell
from hoomd_gala.files.models import shipped_models
from hoomd_gala.systems import System, make_system

#: Particles of each system whose embeddings are kept.
KEPT = 8


def systems() -> dict[str, System]:
    """Crystals, warm and hot, a droplet in its vapor, a gas in a sheared box, and two types."""
    rng = np.random.default_rng(5)
    made = {
        name: displace(crystal(unit_cell(name), 500), noise, rng)
        for name, noise in (("cF4-Cu", 0.1), ("hP2-Mg", 0.06), ("cF8-C", 0.06), ("tP30-CrFe", 0.03))
    }
    ball = droplet(displace(crystal(unit_cell("cI2-W"), 1500), 0.05, rng), 0.8).system
    vapor = rng.uniform(-0.5, 0.5, (60, 3)) * ball.box[:3]
    made["droplet"] = make_system(np.concatenate((ball.positions, vapor)), ball.box)
    made["gas"] = make_system(rng.uniform(-5, 5, (500, 3)), [10, 11, 12, 0.1, -0.2, 0.3])
    binary = made["cF4-Cu"]
    types = rng.integers(0, 2, len(binary.positions))
    made["two types"] = make_system(binary.positions, binary.box, types)
    return made


def golden() -> dict[str, np.ndarray]:
    """Labels of all particles and embeddings of some, by model and system."""
    found = {}
    for model in shipped_models():
        analyzer = Analyzer(model, "cpu")
        for name, system in systems().items():
            result = analyzer.analyze_system(system)
            found[f"{model}/{name}/label"] = result.label.astype(np.int16)
            found[f"{model}/{name}/embedding"] = result.embedding[:KEPT]
    return found


if __name__ == "__main__":
    np.savez_compressed(Path(sys.argv[1]), **golden())
