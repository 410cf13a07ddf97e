"""Pictures of the structures that a model names."""

import numpy as np
import pytest
from commands import fails

from hoomd_gala.cli import main
from hoomd_gala.colors import structure_color
from hoomd_gala.crystals import unit_cell
from hoomd_gala.plotting.structures import _shapes, structure_pages


@pytest.mark.parametrize(
    ("name", "particles", "bonds"),
    # with the particles on corners and faces, wherever a database has the origin
    [("fcc", 14, 36), ("bcc", 9, 8), ("sc", 8, 12), ("cubic diamond", 18, 16), ("hcp", 9, 16)],
)
def test_cells_are_shown_with_their_faces_and_nearest_neighbors(name, particles, bonds):
    shapes = _shapes(unit_cell(name))
    assert len(shapes.points) == particles
    assert len(shapes.bonds) == bonds
    assert len(shapes.edges) == 12
    if name != "hcp":
        lengths = np.linalg.norm(np.subtract(*shapes.edges.swapaxes(0, 1)), axis=-1)
        assert lengths == pytest.approx(lengths[0])


def test_pages_have_names_and_colors():
    classes = ["cF4-Cu", "tP30-CrFe", "disordered", "my phase"]
    [page] = structure_pages(classes)
    assert [axes.get_title() for axes in page.axes[:5]] == [
        *("fcc", "sigma", "disordered", "my phase", ""),
    ]
    [text] = page.axes[1].texts
    assert text.get_text() == "tP30-CrFe, D8b\ntP30, space group 136\nneighbors: 12, 14, 15"
    assert not page.axes[3].collections
    # particles in front have the color that OVITO gives them, those behind are paler
    for axes, name in zip(page.axes[:2], classes, strict=False):
        colors = axes.collections[0].get_facecolors()[:, :3]
        assert np.abs(colors - structure_color(name)).max(axis=1).min() < 0.05
    assert len(list(structure_pages(["cF4-Cu"] * 25))) == 2


def test_structures_of_a_model_are_drawn(tmp_path, capsys, model_path, embedding_model_path):
    out = tmp_path / "structures.pdf"
    assert main(["models", str(model_path), "--output", str(out)]) == 0
    assert f"{out}: 2 structures" in capsys.readouterr().out
    assert out.read_bytes().startswith(b"%PDF")
    assert "exists; remove it" in fails(capsys, "models", model_path, "--output", out)
    png = tmp_path / "structures.png"
    assert ".pdf" in fails(capsys, "models", model_path, "--output", png)
    error = fails(capsys, "models", embedding_model_path, "--output", tmp_path / "a.pdf")
    assert "names no structures" in error
    assert "name one" in fails(capsys, "models", "--output", tmp_path / "b.pdf")
