"""The shipped model ``denoise`` shows what heat hides, and leaves alone what is not heat."""

import copy

import numpy as np
import pytest
import torch
from golden import systems
from ovito.modifiers import PolyhedralTemplateMatchingModifier

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals import crystal, displace, unit_cell
from hoomd_gala.crystals.springs import displace_together
from hoomd_gala.crystals.stackings import stack
from hoomd_gala.files.conversion import ovito_data
from hoomd_gala.files.models import Model, load_model
from hoomd_gala.files.trajectories import make_frame
from hoomd_gala.systems import make_system

#: Unit cells with templates, and what template matching calls them.
TEMPLATES = {
    "cF4-Cu": "FCC",
    "hP2-Mg": "HCP",
    "cI2-W": "BCC",
    "cP1-Po": "SC",
    "cF8-C": "CUBIC_DIAMOND",
    "hP4-C.3": "HEX_DIAMOND",
}


@pytest.fixture(scope="module")
def analyzer():
    return Analyzer("denoise", "cpu")


def matched(system, positions=None):
    """Numbers of particles that template matching gives each name at its usual cutoff of 0.1."""
    modifier = PolyhedralTemplateMatchingModifier(rmsd_cutoff=0.1)
    ids = {name: int(getattr(modifier.Type, name)) for name in ("OTHER", *TEMPLATES.values())}
    for structure in modifier.structures:
        structure.enabled = structure.id in ids.values()
    if positions is not None:
        system = system._replace(positions=positions)
    data = ovito_data(make_frame(system, 0))
    data.apply(modifier)
    found = np.asarray(data.particles["Structure Type"])
    return {name: int((found == number).sum()) for name, number in ids.items()}


def share(analyzer, name, move, seed=1):
    """Shares of a crystal displaced by a tenth that templates fit, before and after."""
    hot = move(crystal(unit_cell(name), 500), 0.1, np.random.default_rng(seed))
    total = len(hot.positions)
    quiet = analyzer.denoise(hot.positions, hot.box)
    return tuple(each[TEMPLATES[name]] / total for each in (matched(hot), matched(hot, quiet)))


@pytest.mark.parametrize("move", [displace, displace_together])
@pytest.mark.parametrize("name", TEMPLATES)
def test_hot_crystals_fit_their_templates(analyzer, name, move):
    before, after = share(analyzer, name, move)
    assert before < 0.9
    assert after >= 0.999


def test_twin_boundaries_and_vacancies_stay(analyzer):
    layers = np.array(["ABC".index(letter) for letter in "ABCABCABCBACBACB"])
    whole = stack(layers, 10, diamond=False)
    left = whole._replace(positions=whole.positions[1:], types=whole.types[1:])
    hot = displace(left, 0.1, np.random.default_rng(2))
    still, quiet = matched(left), matched(hot, analyzer.denoise(hot.positions, hot.box))
    assert matched(hot)["OTHER"] > 0.95 * len(left.positions)
    assert still["OTHER"] == 12
    assert quiet == still


def test_fluids_stay(analyzer):
    for name in ("gas", "liquid"):
        system = systems()["gas"] if name == "gas" else dense_fluid()
        quiet = analyzer.denoise(system.positions, system.box)
        assert sum(matched(system, quiet).values()) == len(quiet)
        assert matched(system, quiet)["OTHER"] >= 0.99 * len(quiet), name


def test_a_droplet_keeps_its_particles_apart(analyzer):
    system = systems()["droplet"]
    quiet = analyzer.denoise(system.positions, system.box)
    assert np.isfinite(quiet).all()
    np.testing.assert_allclose(quiet.mean(axis=0), system.positions.mean(axis=0), atol=1e-6)
    assert np.abs(quiet - system.positions).max() < 0.6


def test_any_unit_orientation_and_order_will_do(analyzer):
    system = displace(crystal(unit_cell("cI2-W"), 300), 0.1, np.random.default_rng(3))
    quiet = analyzer.denoise(system.positions, system.box)
    order = np.random.default_rng(4).permutation(len(quiet))
    box = system.box * [3.3, 3.3, 3.3, 1, 1, 1]
    found = analyzer.denoise(3.3 * system.positions[order], box)
    np.testing.assert_allclose(found / 3.3, quiet[order], atol=1e-4)
    turned = analyzer.denoise(system.positions[:, [1, 2, 0]], system.box[[1, 2, 0, 3, 4, 5]])
    np.testing.assert_allclose(turned, quiet[:, [1, 2, 0]], atol=1e-4)


def test_wrong_weights_are_noticed():
    model = load_model("denoise")
    network = copy.deepcopy(model.network)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(1 + 0.3 * torch.randn(weight.shape, generator=generator))
    wrong = Analyzer(Model(network, model.info), "cpu")
    assert min(share(wrong, name, displace)[1] for name in TEMPLATES) < 0.999


def dense_fluid():
    """Random positions pushed apart: a jammed fluid of spheres."""
    from hoomd_gala.neighbors import nearest_neighbors

    side = 10.0
    box = np.array([side, side, side, 0, 0, 0])
    positions = np.random.default_rng(5).uniform(-side / 2, side / 2, (1000, 3))
    for _ in range(30):
        bonds = nearest_neighbors(positions, box, n=14).bonds
        lengths = np.maximum(np.linalg.norm(bonds, axis=-1, keepdims=True), 1e-9)
        positions -= (0.5 * np.maximum(0.9 - lengths, 0) * bonds / lengths).sum(axis=1)
    return make_system(positions, box)
