"""``hoomd-gala plot``: pictures, and the numbers in them."""

import csv
import importlib.util
import sys

import numpy as np
import pytest
from commands import fails

from hoomd_gala.cli import main
from hoomd_gala.colors import COLORS
from hoomd_gala.plotting.plots import draw_names
from hoomd_gala.plotting.projection import principal_components, project

CELLS = ["--cells", "cF4-Cu", "cI2-W", "--noise", "0.02", "0.05", "--points", "80"]


@pytest.fixture
def no_umap(monkeypatch):
    """As if umap-learn were not installed."""
    monkeypatch.setitem(sys.modules, "umap", None)


def plot(figure, *arguments):
    return main(["plot", figure, *map(str, arguments)])


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("no_umap")
@pytest.mark.parametrize("color", ["structure", "noise"])
def test_map_of_unit_cells(color, model_path, tmp_path, capsys):
    output = tmp_path / "map.png"
    arguments = ["--model", model_path, "--output", output, *CELLS, "--color", color]
    assert plot("embedding", *arguments) == 0
    assert "(PCA)" in capsys.readouterr().out
    assert is_png(output)
    rows = rows_of(tmp_path / "map.csv")
    assert len(rows) == 80
    assert {row["structure"] for row in rows} == {"cF4-Cu", "cI2-W"}
    assert {float(row["noise"]) for row in rows} == {0.02, 0.05}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.csv", "map.png"]


@pytest.mark.usefixtures("no_umap")
def test_map_has_the_colors_of_structures(tmp_path):
    from matplotlib import image

    names = ["cF4-Cu", "cI2-W", "hP2-Mg", "disordered", "unknown"]
    places = np.random.default_rng(1).normal(size=(500, 2)) * 0.1
    places += np.repeat(np.arange(5)[:, None] * [1, 0], 100, axis=0)
    output = tmp_path / "map.png"
    draw_names(output, "five structures", "axis", places, np.repeat(names, 100).tolist())
    pixels = image.imread(output)[..., :3]
    for name in names:
        near = np.abs(pixels - COLORS[name]).max(axis=-1) < 0.01
        assert near.sum() > 3000, name


def test_map_of_a_labeled_file_takes_its_embeddings(trajectory_path, model_path, tmp_path):
    labeled = tmp_path / "labeled.gsd"
    assert main(["label", str(trajectory_path), str(labeled), "--model", str(model_path)]) == 0
    kept, anew = tmp_path / "kept.png", tmp_path / "anew.png"
    data = ["--gsd", f"{labeled}@1:4:2", "--points", 100]
    assert plot("embedding", *data, "--output", kept) == 0
    assert plot("embedding", *data, "--output", anew, "--model", model_path) == 0
    ours, theirs = rows_of(tmp_path / "kept.csv"), rows_of(tmp_path / "anew.csv")
    assert {row["time"] for row in ours} == {"10", "30"}
    assert sum(row["structure"] == "cI2-W" for row in ours) > 90
    for key in ("x", "y"):
        numbers = [[float(row[key]) for row in rows] for rows in (ours, theirs)]
        np.testing.assert_allclose(*numbers, atol=1e-4)


@pytest.mark.usefixtures("no_umap")
def test_map_colored_by_time(trajectory_path, embedding_model_path, tmp_path, capsys):
    output = tmp_path / "map.png"
    data = ["--gsd", trajectory_path, "--model", embedding_model_path, "--output", output]
    error = fails(capsys, "plot", "embedding", *data)
    assert "nothing is known of the structure" in error
    assert "color them by time" in error
    assert plot("embedding", *data, "--color", "time") == 0
    assert is_png(output)
    assert "structure" not in rows_of(tmp_path / "map.csv")[0]


def test_bad_input_is_answered_with_a_sentence(trajectory_path, model_path, tmp_path, capsys):
    output = tmp_path / "map.png"

    def refuses(*more, path=output):
        return fails(capsys, "plot", "embedding", "--output", path, *more)

    assert "there is nothing to draw" in refuses()
    assert "holds no embeddings" in refuses("--gsd", trajectory_path)
    assert "has no frame in the range" in refuses("--gsd", f"{trajectory_path}@7")
    assert "are for unit cells" in refuses("--gsd", trajectory_path, *CELLS)
    assert "it must end in .png" in refuses(path=tmp_path / "map.pdf")
    assert "color them by structure or noise" in refuses(
        "--model", model_path, *CELLS, "--color", "time"
    )
    (tmp_path / "map.csv").write_text("precious")
    assert "map.csv exists" in refuses("--model", model_path, *CELLS)


@pytest.mark.usefixtures("no_umap")
def test_principal_components():
    rng = np.random.default_rng(1)
    hidden = rng.normal(size=(200, 2)) * [5, 2]
    turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    embedding = (hidden @ turn[:2] + 3).astype(np.float32)
    points = principal_components(embedding)
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-5)
    centered = hidden - hidden.mean(axis=0)
    np.testing.assert_allclose(points.var(axis=0).sum(), centered.var(axis=0).sum(), rtol=1e-4)
    assert points[:, 0].var() > points[:, 1].var()
    assert project(embedding)[1] == "PCA"


@pytest.mark.skipif(importlib.util.find_spec("umap") is None, reason="umap-learn is not installed")
def test_umap_where_it_is_installed():
    embedding = np.random.default_rng(1).normal(size=(60, 5)).astype(np.float32)
    points, method = project(embedding)
    assert method == "UMAP"
    assert points.shape == (60, 2)


def write_curve(path, accuracy):
    columns = ["epoch", "training_loss", "validation_loss"]
    columns += ["validation_accuracy"] if accuracy else []
    lines = [[1, 1.0, 0.8, 0.5], [2, 0.6, 0.7, 0.6]]
    rows = [columns, *(line[: len(columns)] for line in lines)]
    path.write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")
    return path


def test_curves(tmp_path, capsys):
    both = [write_curve(tmp_path / f"{name}.csv", name == "a") for name in "ab"]
    assert plot("curve", *both, "--output", tmp_path / "both.png") == 0
    assert plot("curve", both[1], "--output", tmp_path / "one.png") == 0
    assert is_png(tmp_path / "both.png")
    assert is_png(tmp_path / "one.png")
    output = ["--output", tmp_path / "no.png"]
    assert "there is no file" in fails(capsys, "plot", "curve", tmp_path / "no.csv", *output)
    (tmp_path / "other.csv").write_text("a,b\n1,x\n")
    assert "is not a learning curve" in fails(capsys, "plot", "curve", tmp_path / "other.csv", *output)


@pytest.mark.parametrize("figure", ["embedding", "curve"])
def test_help(figure, capsys):
    with pytest.raises(SystemExit) as done:
        main(["plot", figure, "--help"])
    assert done.value.code == 0
    assert "--output" in capsys.readouterr().out
