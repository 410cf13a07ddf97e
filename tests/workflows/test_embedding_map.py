"""The map of simulated solids: scores, and the group of each particle."""

import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from pictures import pixels
from study.comparison import embedding_map
from study.reports import embedding_map as report

from hoomd_gala.colors import structure_color
from hoomd_gala.crystals.prototypes import crystal, displace, droplet, unit_cell
from hoomd_gala.systems import make_system

N_EACH = 60


def points(apart):
    """Two groups whose features lie so far apart in two of three numbers, and a surface."""
    rng = np.random.default_rng(1)
    group = np.repeat(["cF4-Cu", "cI2-W", embedding_map.SURFACE], N_EACH)
    features = rng.normal(size=(3 * N_EACH, 3))
    features[group == "cI2-W", :2] += apart
    features[group == embedding_map.SURFACE] = 1e3
    return embedding_map.Points(group, np.zeros(len(group), int), {"made up": features})


def test_groups_that_lie_apart_score_and_surfaces_do_not_count():
    (far,), (near,) = (embedding_map.scores(points(apart)) for apart in (20.0, 0.0))
    assert far["purity"] == pytest.approx(1.0)
    assert far["silhouette"] > 0.5
    assert near["purity"] == pytest.approx(0.5, abs=0.06)
    assert abs(near["silhouette"]) < 0.05
    assert far["particles"] == 2 * N_EACH
    assert far["numbers"] == 3


def test_each_group_has_the_same_weight():
    features = np.concatenate([np.zeros(900), np.full(100, 100.0)])[:, None]
    features += np.random.default_rng(2).normal(size=features.shape)
    group = np.repeat(["many", "few"], [900, 100])
    mixed = np.where(np.arange(1000) % 2, group, "many")  # half of the few are called many
    assert embedding_map.purity(features, group) == pytest.approx(1.0)
    # purity of the few is one half, and so is that of those called many among them
    assert embedding_map.purity(features, mixed) == pytest.approx((0.5 + 0.97) / 2, abs=0.05)


@pytest.fixture
def ball():
    """A droplet of cI2-W, alone in its box, and the same when warm."""
    cold, _ = droplet(crystal(unit_cell("cI2-W"), 2000), 0.8)
    box = cold.box * [2, 2, 2, 1, 1, 1]
    cold = make_system(cold.positions, box)
    return displace(cold, 0.05, np.random.default_rng(3)), cold


def test_template_matching_names_particles_where_it_can(ball):
    warm, cold = ball
    found = embedding_map.solid(warm, cold, "cI2-W")
    assert (found.structure[found.inside] == "cI2-W").all()
    assert 0.2 < found.inside.mean() < 0.9
    # at the surface, neighbors are missing
    assert (found.structure[~found.inside] == "").any()


def test_what_template_matching_does_not_know_is_named_as_a_whole(ball):
    found = embedding_map.solid(*ball, "icosahedral quasicrystal")
    assert (found.structure == "icosahedral quasicrystal").all()


def test_map_shows_what_was_not_learned_apart(ball, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)  # principal components take no time
    solids = [embedding_map.solid(*ball, name) for name in ("cI2-W", "icosahedral quasicrystal")]
    rng = np.random.default_rng(4)
    collected = embedding_map.collect(
        solids, {"positions": lambda system, particles: system.positions[particles]}, 30, 20, rng
    )
    names, counts = np.unique(collected.group, return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == {
        "cI2-W": 30,
        "icosahedral quasicrystal": 30,
        embedding_map.SURFACE: 40,
    }
    rows = report.draw(tmp_path / "map.png", collected, "positions")
    assert len(rows) == 100
    # both panels have a legend; the crystal is only in the first, the surface in the second
    left, right = np.array_split(pixels(tmp_path / "map.png"), 2, axis=1)
    for half, group in ((left, "cI2-W"), (right, "icosahedral quasicrystal")):
        color = np.array(to_rgb(structure_color(group)))
        assert (abs(half - color) < 0.02).all(axis=-1).sum() > 50
