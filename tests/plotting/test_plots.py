"""``hoomd-gala plot``: pictures, and the numbers in them."""

import csv
import importlib.util
import sys

import numpy as np
import pytest
from commands import fails
from matplotlib import colormaps, image
from matplotlib.colors import to_rgb

from hoomd_gala.cli import main
from hoomd_gala.colors import COLORS
from hoomd_gala.names import title
from hoomd_gala.plotting.plots import draw_names, draw_scaling
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


def read(path, width, height):
    """Pixels (H, W, 3) of a picture of a size in inches, in which something is drawn."""
    pixels = image.imread(path)[..., :3]
    assert pixels.shape[:2] == (height * 150, width * 150)
    drawn = (pixels < 0.99).any(axis=-1)
    assert drawn.mean() > 0.01
    # in all quarters: axes, labels and what is between them
    for half in np.array_split(drawn, 2):
        for quarter in np.array_split(half, 2, axis=1):
            assert quarter.any()
    return pixels


def has_color(pixels, color):
    """How many pixels have a color."""
    return int((np.abs(pixels - np.asarray(color)[:3]).max(axis=-1) < 0.01).sum())


def legend(figure):
    """Texts of a figure's legend, of whichever part of it."""
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    return [text.get_text() for one in legends if one is not None for text in one.get_texts()]


@pytest.mark.usefixtures("no_umap")
@pytest.mark.parametrize("color", ["structure", "noise"])
def test_map_of_unit_cells(color, model_path, tmp_path, capsys, figures):
    output = tmp_path / "map.png"
    arguments = ["--model", model_path, "--output", output, *CELLS, "--color", color]
    assert plot("embedding", *arguments) == 0
    assert "(PCA)" in capsys.readouterr().out
    pixels = read(output, 7, 5)
    [figure] = figures
    axes = figure.axes[0]
    assert axes.get_title() == f"80 environments, {model_path}"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("PCA 1", "PCA 2")
    rows = rows_of(tmp_path / "map.csv")
    assert len(rows) == 80
    places = np.array([[float(row[key]) for key in "xy"] for row in rows])
    [dots] = axes.collections
    np.testing.assert_allclose(np.sort(dots.get_offsets(), axis=0), np.sort(places, axis=0))
    if color == "structure":
        assert sorted(legend(figure)) == ["bcc (cI2-W)", "fcc (cF4-Cu)"]
        assert all(has_color(pixels, COLORS[name]) > 100 for name in ("cF4-Cu", "cI2-W"))
        assert len(figure.axes) == 1
    else:
        assert legend(figure) == []
        assert figure.axes[1].get_ylabel() == "noise / shortest distance"
        assert dots.get_clim() == (0.02, 0.05)
        assert all(has_color(pixels, colormaps["viridis"](end)) > 100 for end in (0.0, 1.0))
    assert {row["structure"] for row in rows} == {"cF4-Cu", "cI2-W"}
    assert {float(row["noise"]) for row in rows} == {0.02, 0.05}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.csv", "map.png"]


@pytest.mark.usefixtures("no_umap")
def test_map_has_the_colors_of_structures(tmp_path, figures):
    names = ["cF4-Cu", "cI2-W", "hP2-Mg", "disordered", "unknown"]
    places = np.random.default_rng(1).normal(size=(500, 2)) * 0.1
    places += np.repeat(np.arange(5)[:, None] * [1, 0], 100, axis=0)
    output = tmp_path / "map.png"
    draw_names(output, "five structures", "axis", places, np.repeat(names, 100).tolist())
    pixels = read(output, 7, 5)
    for name in names:
        assert has_color(pixels, COLORS[name]) > 3000, name
    assert sorted(legend(figures[0])) == sorted(map(title, names))


@pytest.mark.usefixtures("no_umap")
def test_rare_structures_share_a_color_and_a_name(tmp_path, figures):
    frequent = [f"cell {i:02}" for i in range(20)]
    names = [*np.repeat(frequent, 3), "rare", "rarer"]
    places = np.random.default_rng(1).uniform(size=(62, 2))
    draw_names(tmp_path / "map.png", "many", "axis", places, names)
    assert sorted(legend(figures[0])) == [*frequent, "other"]


def test_map_of_a_labeled_file_takes_its_embeddings(trajectory_path, model_path, tmp_path):
    labeled = tmp_path / "labeled.gsd"
    command = ["label", str(trajectory_path), str(labeled), "--model", str(model_path)]
    assert main([*command, "--quantities", "label,confidence,embedding"]) == 0
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
def test_map_colored_by_time(trajectory_path, embedding_model_path, tmp_path, capsys, figures):
    output = tmp_path / "map.png"
    data = ["--gsd", trajectory_path, "--model", embedding_model_path, "--output", output]
    error = fails(capsys, "plot", "embedding", *data, "--color", "structure")
    assert "nothing is known of the structure" in error
    assert "color them by time" in error
    # which is what is done where there are no names
    assert plot("embedding", *data) == 0
    pixels = read(output, 7, 5)
    assert figures[0].axes[1].get_ylabel() == "timestep"
    assert figures[0].axes[0].collections[0].get_clim() == (0, 40)
    shown = [colormaps["viridis"](step / 40) for step in (0, 10, 20, 30, 40)]
    assert all(has_color(pixels, color) > 100 for color in shown)
    assert "structure" not in rows_of(tmp_path / "map.csv")[0]


def test_bad_input_is_answered_with_a_sentence(trajectory_path, model_path, tmp_path, capsys):
    output = tmp_path / "map.png"

    def refuses(*more, path=output):
        return fails(capsys, "plot", "embedding", "--output", path, *more)

    assert "there is nothing to draw" in refuses()
    assert "holds no embeddings" in refuses("--gsd", trajectory_path)
    assert "has no frame in the requested range" in refuses("--gsd", f"{trajectory_path}@7")
    assert "are for unit cells" in refuses("--gsd", trajectory_path, *CELLS)
    assert "it must end in .png, .pdf or .svg" in refuses(path=tmp_path / "map.gif")
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


def lines(axes):
    """What is plotted, by label."""
    return {line.get_label(): (line.get_linestyle(), *line.get_data()) for line in axes.lines}


def test_curves(tmp_path, figures):
    both = [write_curve(tmp_path / f"{name}.csv", name == "a") for name in "ab"]
    assert plot("curve", *both, "--output", tmp_path / "both.png") == 0
    assert plot("curve", both[1], "--output", tmp_path / "one.png") == 0
    for name, height in (("both", 6), ("one", 3.5)):
        pixels = read(tmp_path / f"{name}.png", 7, height)
        assert has_color(pixels, to_rgb("C0")) > 100
    assert has_color(read(tmp_path / "both.png", 7, 6), to_rgb("C1")) > 100
    together, alone = figures
    assert legend(together) == ["a", "b", "dashed: training"]
    assert legend(alone) == ["b", "dashed: training"]
    losses, accuracies = together.axes
    assert len(alone.axes) == 1
    assert losses.get_yscale() == "log"
    style, epochs, values = lines(losses)["b"]
    assert (style, [*epochs], [*values]) == ("-", [1, 2], [0.8, 0.7])
    dashed = [
        line for line in losses.lines if line.get_linestyle() == "--" and len(line.get_xdata())
    ]
    assert [[*line.get_ydata()] for line in dashed] == [[1, 0.6], [1, 0.6]]
    [accuracy] = accuracies.lines
    assert [*accuracy.get_ydata()] == [0.5, 0.6]
    assert accuracy.get_color() == losses.lines[0].get_color()


def test_bad_curves_are_answered_with_a_sentence(tmp_path, capsys):
    output = ["--output", tmp_path / "no.png"]
    assert "there is no file" in fails(capsys, "plot", "curve", tmp_path / "no.csv", *output)
    (tmp_path / "other.csv").write_text("a,b\n1,x\n")
    error = fails(capsys, "plot", "curve", tmp_path / "other.csv", *output)
    assert "is not a learning curve" in error


def test_scaling_is_drawn_with_a_straight_line(tmp_path, figures):
    rows = [{"particles": n, "core_seconds": t} for n, t in ((1000, 0.2), (10_000, 1.0))]
    draw_scaling(tmp_path / "scaling.png", rows)
    read(tmp_path / "scaling.png", 5, 3.5)
    [axes] = figures[0].axes
    shown = lines(axes)
    assert [*shown["measured"][2]] == [0.2, 1.0]
    np.testing.assert_allclose(shown["proportional to the number of particles"][2], [0.1, 1.0])
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


@pytest.mark.parametrize("figure", ["embedding", "curve"])
def test_help(figure, capsys):
    with pytest.raises(SystemExit) as done:
        main(["plot", figure, "--help"])
    assert done.value.code == 0
    assert "--output" in capsys.readouterr().out
