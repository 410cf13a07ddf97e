"""What the OVITO modifier's parameters do: models, colors, clusters, rigid bodies."""

import subprocess
import sys

import gsd.hoomd
import numpy as np
import ovito
import pytest
from conftest import needs_hoomd
from ovito.data import DataCollection
from ovito.io import import_file
from ovito.modifiers import ExpressionSelectionModifier
from ovito.pipeline import Pipeline, StaticSource
from ovito.vis import ColorLegendOverlay, TachyonRenderer, Viewport
from ovito_pictures import SIZE, count_pixels, names_of, pixels_of, types_of
from traits.api import TraitError

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.clusters import find_clusters
from hoomd_gala.colors import structure_color, structure_colors
from hoomd_gala.crystals import crystal, displace, droplet, unit_cell
from hoomd_gala.errors import InputError
from hoomd_gala.files import make_frame
from hoomd_gala.files.conversion import ovito_data
from hoomd_gala.files.models import shipped_models
from hoomd_gala.integrations.ovito import ClassifierModifier
from hoomd_gala.names import title
from hoomd_gala.systems import System, as_system


@pytest.fixture
def counted(monkeypatch):
    """How often systems are labeled."""
    calls = []
    analyze = Analyzer.analyze_system

    def count(self, system, *others):
        calls.append(len(system.positions))
        return analyze(self, system, *others)

    monkeypatch.setattr(Analyzer, "analyze_system", count)
    return calls


def pipeline_with(path, modifier):
    pipeline = import_file(str(path))
    pipeline.modifiers.append(modifier)
    return pipeline


def test_embeddings_become_a_property_and_name_nothing(multiscale_path):
    system = displace(crystal(unit_cell("cI2-W"), 200), 0.05, np.random.default_rng(1))
    pipeline = Pipeline(source=StaticSource(data=ovito_data(make_frame(system, 0))))
    pipeline.modifiers.append(ClassifierModifier(model=multiscale_path, device="cpu"))
    particles = pipeline.compute().particles
    expected = Analyzer(multiscale_path, "cpu").analyze_system(as_system(make_frame(system, 0)))
    np.testing.assert_allclose(particles["Embedding"], expected.embedding, atol=1e-4)
    assert "Structure Type" not in particles
    assert "Confidence" not in particles


def test_models_are_listed_by_name_and_files_can_be_given(model_path):
    listed = ClassifierModifier().trait("model").trait_type.values
    named = {"structures", "structures-fast", "compounds", "embedding", "frame-classification"}
    assert set(listed) == {"auto", *named}
    assert set(listed) < {"auto", *shipped_models()}
    assert ClassifierModifier().model == ClassifierModifier(model="").model == "auto"
    modifier = ClassifierModifier(model=model_path)
    assert modifier.model == str(model_path)
    modifier.model = "structures-fast"
    with pytest.raises(TraitError, match="'structures-fast'"):
        modifier.model = 3


def test_a_model_file_takes_the_place_of_the_list(trajectory_path, model_path):
    modifier = ClassifierModifier(model="structures", model_file=str(model_path))
    pipeline = pipeline_with(trajectory_path, modifier)
    few = types_of(pipeline.compute().particles["Structure Type"])
    assert list(few.values()) == ["unknown", "fcc (cF4-Cu)", "bcc (cI2-W)", "disordered"]
    modifier.model_file = ""
    many = types_of(pipeline.compute().particles["Structure Type"])
    assert list(many.values())[1:] == [title(name) for name in Analyzer("structures").class_names]
    modifier.model = "no-such-model"
    with pytest.raises(InputError, match="no model is named 'no-such-model'; give a file, or one"):
        pipeline.compute()


def test_the_model_auto_is_decided_for_each_system(bcc, tmp_path, capsys):
    path = tmp_path / "run.gsd"
    several, one = np.arange(len(bcc.positions)) % 2, np.ones(len(bcc.positions), int)
    with gsd.hoomd.open(path, "w") as trajectory:
        for step, types in enumerate((several, one, several)):
            trajectory.append(make_frame(bcc._replace(types=types), step, "AB"))
    modifier = ClassifierModifier()
    pipeline = pipeline_with(path, modifier)
    for frame, name in enumerate(("compounds", "structures", "compounds")):
        shown = types_of(pipeline.compute(frame).particles["Structure Type"])
        assert list(shown.values())[1:] == [title(one) for one in Analyzer(name).class_names]
        pipeline.compute(frame)
        assert capsys.readouterr().err.count(f"the model is {name}, as the particles are") == 1
    # of particles of one type alone
    pipeline.modifiers.insert(0, ExpressionSelectionModifier(expression="ParticleType == 0"))
    modifier.only_selected = True
    shown = types_of(pipeline.compute(0).particles["Structure Type"])
    assert list(shown.values())[1:] == [title(one) for one in Analyzer("structures").class_names]


def test_edited_colors_stay_in_all_frames_and_nothing_is_labeled_again(
    trajectory_path, model_path, counted
):
    modifier = ClassifierModifier(model=str(model_path))
    pipeline = pipeline_with(trajectory_path, modifier)
    before = pipeline.compute(0)
    pipeline.compute(0)
    assert len(counted) == 1
    modifier.colors["bcc"] = (1.0, 0.5, 0.0)
    after = pipeline.compute(0)
    assert len(counted) == 1
    kinds = np.array(after.particles["Structure Type"])
    np.testing.assert_array_equal(kinds, before.particles["Structure Type"])
    names = names_of(after.particles["Structure Type"])
    assert (names == "bcc (cI2-W)").mean() > 0.9
    for frame in (0, 4):
        data = pipeline.compute(frame)
        structure = data.particles["Structure Type"]
        colors = {kind.name: tuple(kind.color) for kind in structure.types}
        assert colors["bcc (cI2-W)"] == pytest.approx((1, 0.5, 0))
        assert colors["fcc (cF4-Cu)"] == pytest.approx(structure_color("cF4-Cu"))
        expected = [colors[name] for name in names_of(structure)]
        np.testing.assert_allclose(data.particles.colors, expected, atol=1e-6)
        table = {kind.name: kind.color for kind in data.tables["structures"].x.types}
        assert tuple(table["bcc (cI2-W)"]) == pytest.approx((1, 0.5, 0))
    assert len(counted) == 2
    # other particles at the same frame are labeled
    pipeline.modifiers.insert(0, lambda frame, data: data.particles_.positions_.__imul__(1.0001))
    pipeline.compute(4)
    assert len(counted) == 3


def test_the_panel_edits_colors_of_any_structure():
    modifier = ClassifierModifier()
    names = modifier.trait("edited_structure").trait_type.values
    assert names[:3] == ("fcc (cF4-Cu)", "hcp (hP2-Mg)", "bcc (cI2-W)")
    assert {"disordered", "unknown", "C14 (hP12-MgZn2)"} < set(names)
    # looking at structures changes none
    for name in names:
        modifier.edited_structure = name
    assert not modifier.colors
    modifier.edited_structure = "C14 (hP12-MgZn2)"
    assert modifier.edited_color == structure_color("hP12-MgZn2")
    modifier.edited_color = (0.0, 0.0, 0.2)
    modifier.edited_structure = "unknown"
    assert modifier.edited_color == structure_color("unknown")
    modifier.edited_structure = "C14 (hP12-MgZn2)"
    assert modifier.edited_color == (0.0, 0.0, 0.2)
    modifier.colors["Laves C14"] = (0.0, 0.3, 0.0)
    assert modifier.edited_color == (0.0, 0.3, 0.0)
    modifier.edited_color = (0.0, 0.0, 0.1)
    assert structure_colors(["hP12-MgZn2", "cF4-Cu"], modifier.colors) == [
        (0.0, 0.0, 0.1),
        structure_color("cF4-Cu"),
    ]


def test_a_session_keeps_edited_colors(trajectory_path, model_path, tmp_path):
    modifier = ClassifierModifier(model=str(model_path), clusters=True)
    modifier.edited_structure = "bcc (cI2-W)"
    modifier.edited_color = (0.0, 0.25, 0.75)
    modifier.edited_structure = "hcp (hP2-Mg)"
    pipeline = pipeline_with(trajectory_path, modifier)
    pipeline.add_to_scene()
    session = tmp_path / "kept.ovito"
    try:
        ovito.scene.save(str(session))
    finally:
        pipeline.remove_from_scene()
    script = (
        "import ovito; ovito.scene.load({!r}); data = ovito.scene.pipelines[0].compute(1)\n"
        "kinds = data.particles['Structure Type'].types\n"
        "print([tuple(kind.color) for kind in kinds if kind.name == 'bcc (cI2-W)'][0])\n"
        "print(data.attributes['hoomd_gala.n_clusters'])"
    )
    out = subprocess.run(
        [sys.executable, "-c", script.format(str(session))], capture_output=True, text=True
    )
    assert out.returncode == 0, out.stderr
    color, n_clusters = out.stdout.splitlines()
    numbers = [float(number.strip("np.float64() ")) for number in color.split(",")]
    assert numbers == pytest.approx([0, 0.25, 0.75])
    assert int(n_clusters) >= 1


@pytest.mark.parametrize(
    ("colors", "message"),
    [
        ({"fcx": (1, 0, 0)}, "a color is given for 'fcx', which is no structure"),
        ({"fcc": (255, 0, 0)}, r"the color of fcc is \(255.*give red, green and blue in \[0, 1\]"),
    ],
)
def test_colors_that_mean_nothing_are_refused(trajectory_path, model_path, colors, message):
    modifier = ClassifierModifier(model=str(model_path), colors=colors)
    with pytest.raises(InputError, match=message):
        pipeline_with(trajectory_path, modifier).compute()


def test_pictures_show_edited_colors_and_the_names_of_a_legend(trajectory_path, model_path):
    modifier = ClassifierModifier(model=str(model_path))
    pipeline = pipeline_with(trajectory_path, modifier)
    pipeline.source.data.cell_.vis.enabled = False
    pipeline.add_to_scene()
    view = Viewport(type=Viewport.Type.Ortho, camera_dir=(0, 1, 0))
    view.zoom_all(size=SIZE)
    legend = ColorLegendOverlay(property="structures/Structure Type", title=" ")
    view.overlays.append(legend)

    def picture():
        renderer = TachyonRenderer(ambient_occlusion=False, shadows=False)
        return pixels_of(view.render_image(size=SIZE, background=(1, 1, 1), renderer=renderer))

    try:
        shown = picture()
        modifier.colors["A2"] = (1.0, 0.0, 1.0)
        edited = picture()
        legend.enabled = False
        without = picture()
    finally:
        pipeline.remove_from_scene()
    blue, magenta = (0.4, 0.4, 1.0), (1.0, 0.0, 1.0)
    assert count_pixels(shown, blue) > 20_000 > 100 > count_pixels(shown, magenta)
    assert count_pixels(edited, magenta) > 20_000 > 100 > count_pixels(edited, blue)
    # text and a box of the legend's own color
    assert np.abs(edited - without).max(axis=-1).astype(bool).sum() > 200


def test_clusters_are_those_of_the_package(model_path):
    rng = np.random.default_rng(9)
    parts = [
        droplet(displace(crystal(unit_cell(cell), n), 0.02, rng), 0.8).system.positions
        for cell, n in (("cI2-W", 1500), ("cF4-Cu", 800))
    ]
    positions = np.concatenate([parts[0], parts[1] + [40.0, 0, 0]])
    data = DataCollection()
    data.create_particles(count=len(positions)).create_property("Position", data=positions)
    pipeline = Pipeline(source=StaticSource(data=data))
    modifier = ClassifierModifier(model=str(model_path))
    pipeline.modifiers.append(modifier)
    assert "Cluster" not in pipeline.compute().particles
    modifier.clusters = True
    shown = pipeline.compute()
    result = Analyzer(model_path).analyze(positions, periodic=False)
    expected = find_clusters(as_system(data), result.label, result.class_names)
    assert len(expected.sizes) >= 2
    np.testing.assert_array_equal(shown.particles["Cluster"], expected.ids)
    assert shown.attributes["hoomd_gala.largest_cluster"] == expected.largest
    assert shown.attributes["hoomd_gala.n_clusters"] == len(expected.sizes)
    # of the selected particles only, which the small droplet is
    modifier.only_selected = True
    pipeline.modifiers.insert(0, ExpressionSelectionModifier(expression="Position.X > 20"))
    shown = pipeline.compute()
    ids = np.array(shown.particles["Cluster"])
    assert (ids[: len(parts[0])] == -1).all()
    assert (ids == 0).sum() == shown.attributes["hoomd_gala.largest_cluster"] > 100


def test_constituents_of_rigid_bodies_are_no_neighbors_and_take_their_label(model_path, tmp_path):
    rng = np.random.default_rng(5)
    sites = displace(crystal(unit_cell("cF4-Cu"), 500), 0.03, rng)
    total, centers = len(sites.positions), 3.2 * sites.positions
    free = np.arange(total) % 9 == 4
    around = np.concatenate([np.eye(3), -np.eye(3)])
    bodies = np.flatnonzero(~free)
    box = sites.box * [3.2, 3.2, 3.2, 1, 1, 1]
    edges = np.diag(box[:3])
    positions = np.concatenate([centers, (centers[bodies][:, None] + around).reshape(-1, 3)])
    positions -= np.round(positions @ np.linalg.inv(edges)) @ edges
    kinds = np.repeat([0, 1], [total, 6 * len(bodies)])
    frame = make_frame(System(positions, box, kinds), 0, ["R", "A"])
    own = np.where(free, -1, np.arange(total))
    frame.particles.body = np.concatenate([own, np.repeat(bodies, 6)])
    path = tmp_path / "bodies.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.append(frame)
    modifier = ClassifierModifier(model=str(model_path), clusters=True)
    data = pipeline_with(path, modifier).compute()
    names = names_of(data.particles["Structure Type"])
    expected = Analyzer(model_path).analyze(System(centers, box, np.zeros(total, int)))
    assert expected.fraction("fcc") > 0.95
    np.testing.assert_array_equal(
        np.array(data.particles["Structure Type"])[:total] - 1, expected.label
    )
    np.testing.assert_array_equal(names[total:], np.repeat(names[bodies], 6))
    for name in ("Confidence", "Cluster", "Color"):
        values = np.array(data.particles[name])
        np.testing.assert_array_equal(values[total:], np.repeat(values[bodies], 6, axis=0))
    # counts are of what was labeled
    assert data.attributes["hoomd_gala.fraction.cF4-Cu"] == expected.fractions["cF4-Cu"]
    assert data.tables["structures"].y.array.sum() == total
    assert data.attributes["hoomd_gala.largest_cluster"] <= total
    # a selection is taken at its word
    modifier.only_selected = True
    pipeline = pipeline_with(path, modifier)
    pipeline.modifiers.insert(0, ExpressionSelectionModifier(expression="ParticleType == 1"))
    alone = Analyzer(model_path).analyze(positions, box, neighbors=kinds == 1)
    shown = np.array(pipeline.compute().particles["Structure Type"]) - 1
    np.testing.assert_array_equal(shown[total:], alone.label)
    assert (shown[:total] == -1).all()


@needs_hoomd
def test_rigid_bodies_of_hoomd(model_path, tmp_path):
    import hoomd
    from mixtures import simulation_of, write_bodies

    write_bodies(tmp_path / "bodies.gsd")
    simulation = simulation_of(tmp_path / "bodies.gsd")
    hoomd.write.GSD.write(simulation.state, str(tmp_path / "run.gsd"))
    data = pipeline_with(tmp_path / "run.gsd", ClassifierModifier(model=str(model_path))).compute()
    assert data.particles.count > 2000
    assert data.attributes["hoomd_gala.fraction.cF4-Cu"] > 0.95
    assert (names_of(data.particles["Structure Type"]) == "fcc (cF4-Cu)").mean() > 0.95
