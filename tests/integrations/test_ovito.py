"""What a person sees in OVITO: files, copies to look at, and the modifier."""

from dataclasses import replace

import gsd.hoomd
import numpy as np
import pytest
from conftest import gas
from ovito.data import DataCollection, DataTable
from ovito.io import import_file
from ovito.modifiers import (
    CommonNeighborAnalysisModifier,
    PolyhedralTemplateMatchingModifier,
    SelectTypeModifier,
)
from ovito_pictures import count_pixels, names_of, render, types_of

import hoomd_gala
from hoomd_gala.analyzer import Analyzer
from hoomd_gala.cli import main
from hoomd_gala.colors import (
    COLORS,
    OVITO_TYPE_ORDER,
    label_colors,
    structure_color,
    structure_types,
)
from hoomd_gala.crystals import crystal, displace, droplet, unit_cell
from hoomd_gala.errors import InputError
from hoomd_gala.files import (
    add_labels,
    append_frame,
    frame_labels,
    make_frame,
    open_trajectory,
    read_frame,
)
from hoomd_gala.labeling import label_trajectory, view_trajectory
from hoomd_gala.names import class_of_title, title
from hoomd_gala.results import Result
from hoomd_gala.systems import as_system, make_system


@pytest.fixture
def labeled(trajectory_path, model_path, tmp_path):
    """Five labeled frames of a bcc crystal."""
    path = tmp_path / "labeled.gsd"
    label_trajectory(trajectory_path, path, model_path)
    return path


def test_common_structures_have_the_colors_of_template_matching():
    ovito = {kind.name: kind.color for kind in PolyhedralTemplateMatchingModifier().structures}
    for name, theirs in (
        ("cF4-Cu", "FCC"),
        ("hP2-Mg", "HCP"),
        ("cI2-W", "BCC"),
        ("cP1-Po", "Simple cubic"),
        ("cF8-C", "Cubic diamond"),
        ("hP4-C.3", "Hexagonal diamond"),
        ("disordered", "Other"),
    ):
        np.testing.assert_allclose(COLORS[name], ovito[theirs], atol=0.01)


def test_other_structures_have_colors_that_tell_them_apart():
    names = [*Analyzer("structures").class_names, "unknown"]
    colors = np.array([structure_color(name) for name in names])
    assert ((colors >= 0) & (colors <= 1)).all()
    assert len(np.unique(colors.round(2), axis=0)) > 0.8 * len(names)
    np.testing.assert_array_equal(
        label_colors(np.array([1, -1]), ["a", "cI2-W"]),
        np.array([COLORS["cI2-W"], COLORS["unknown"]], np.float32),
    )


@pytest.fixture(scope="module")
def rows_of_structures(tmp_path_factory):
    """Six rows of particles, each labeled as another structure, in the second of two frames.

    In the first frame, all are disordered. The simulation's types are A and B.
    """
    path = tmp_path_factory.mktemp("rows") / "rows.gsd"
    names = ("cF4-Cu", "hP2-Mg", "cI2-W", "tP30-CrFe", "hR105-B", "hP1-HgSn6-10", "disordered")
    shown = np.array([0, 1, 2, 3, 6, -1], np.int32)
    places = np.stack(np.meshgrid(np.arange(6), [0], np.arange(6), indexing="ij"), -1)
    system = make_system(places.reshape(-1, 3) * 1.5 - 4, [12, 12, 12, 0, 0, 0], np.arange(36) % 2)
    for step, label in enumerate((np.full(36, 6, np.int32), np.repeat(shown, 6))):
        result = Result(label, np.ones(36, np.float32), np.zeros((36, 2), np.float32), names)
        frame = add_labels(make_frame(system, step, ("A", "B")), result)
        append_frame(path, frame, keep_types=False)
    return path


def test_labeled_file_shows_every_structure_in_its_color_as_loaded(rows_of_structures):
    # OVITO's own colors, by number; yellow is what another structure than the common ones gets
    colors = {
        "cF4-Cu": (0.4, 1.0, 0.2),
        "hP2-Mg": (1.0, 0.4, 0.4),
        "cI2-W": (0.4, 0.4, 1.0),
        "tP30-CrFe": (1.0, 1.0, 0.0),
        "disordered": (0.97, 0.97, 0.97),
        "unknown": (0.8, 1.0, 0.7),
    }
    first, second = (render(rows_of_structures, frame) for frame in (0, 1))
    seen = {name: count_pixels(second, color) for name, color in colors.items()}
    # of each, six particles of a radius of 0.5; none hides another
    assert min(seen.values()) > 0.9 * max(seen.values()) > 3000
    assert sum(seen.values()) > 0.7 * (second.max(axis=-1) > 0).sum()
    seen = {name: count_pixels(first, color) for name, color in colors.items()}
    assert seen.pop("disordered") > 10_000
    assert not any(seen.values())


def test_what_the_command_label_writes_is_colored_as_loaded(labeled):
    with open_trajectory(labeled) as trajectory:
        label, names = frame_labels(trajectory[4])
    bcc = np.mean(label == names.index("cI2-W"))
    pixels = render(labeled, 4)
    drawn = (pixels.max(axis=-1) > 0.4).sum()
    assert count_pixels(pixels, (0.4, 0.4, 1.0)) > 0.8 * bcc * drawn > 10_000


def test_labeled_file_names_structures_and_keeps_the_types(rows_of_structures):
    pipeline = import_file(str(rows_of_structures))
    data = pipeline.compute(1)
    kinds = data.particles.particle_types
    shown = ["fcc (cF4-Cu)", "hcp (hP2-Mg)", "bcc (cI2-W)", title("tP30-CrFe"), "disordered"]
    shown.append("unknown")
    np.testing.assert_array_equal(names_of(kinds), np.repeat(shown, 6))
    np.testing.assert_array_equal(data.particles["hoomd_gala_simulation_typeid"], np.arange(36) % 2)
    # the analyzer, too, sees the simulation's own types, whichever way the frame comes
    np.testing.assert_array_equal(as_system(data).types, np.arange(36) % 2)
    with open_trajectory(rows_of_structures) as trajectory:
        assert trajectory[0].particles.types == ["disordered"]
        np.testing.assert_array_equal(as_system(trajectory[1]).types, np.arange(36) % 2)
    frame = read_frame(rows_of_structures)
    assert frame.particles.types == ["A", "B"]
    np.testing.assert_array_equal(frame.particles.typeid, np.arange(36) % 2)
    assert not any("simulation" in key for key in frame.log)


def test_view_has_structures_as_named_and_colored_types(labeled, capsys):
    assert main(["view", str(labeled)]) == 0
    path = labeled.with_name("labeled-view.gsd")
    assert capsys.readouterr().out.strip() == str(path)
    pipeline = import_file(str(path))
    assert pipeline.source.num_frames == 5
    data = pipeline.compute(4)
    with open_trajectory(labeled) as trajectory:
        frame = trajectory[4]
    label, names = frame_labels(frame)
    kinds = data.particles.particle_types
    titles = [*map(title, names), "unknown"]
    np.testing.assert_array_equal(names_of(kinds), np.array(titles)[label])
    np.testing.assert_allclose(data.particles.positions, frame.particles.position, atol=1e-6)
    assert data.attributes["energy"] == 4
    assert "hoomd_gala_Classifier_embedding" not in data.particles
    assert "Color" not in data.particles
    # in the order that they are in, OVITO's own colors for types look like those of structures;
    # it has no grey for what is unknown, and no orange
    for kind in kinds.types:
        name = class_of_title(kind.name)
        if name not in ("hP4-C.3", "cF8-C", "unknown"):
            np.testing.assert_allclose(kind.color, COLORS[name], atol=0.21)
    # bcc and unknown have to be listed, and what comes before them; nothing else is
    shown = [kind.name for kind in kinds.types]
    assert shown in ([*map(title, OVITO_TYPE_ORDER[:n])] for n in (3, 7))


def test_types_end_with_what_occurs_and_only_ever_grow():
    classes = ["cF4-Cu", "hP2-Mg", "cI2-W", *"abcdef", "disordered"]
    types = structure_types([], classes, ["disordered"])
    assert types == ["disordered"]
    types = structure_types(types, classes, ["hP2-Mg", "disordered"])
    assert types == ["disordered", "hP2-Mg"]
    # what the model does not know leaves its number to what has none
    types = structure_types(types, classes, ["unknown"])
    assert types == ["disordered", "hP2-Mg", "cI2-W", "a", "b", "cF4-Cu", "unknown"]
    types = structure_types(types, classes, ["f"])
    assert types[7:] == ["c", "d", "e", "f"]
    assert structure_types(types, classes, ["a", "disordered", "f"]) == types
    # a file that another model goes on with
    assert structure_types(types, ["z"], ["z", "cI2-W"]) == [*types, "z"]
    # white, red, blue, green and pale green stand for one structure each
    classes = Analyzer("structures").class_names
    types = structure_types([], classes, ["tP30-CrFe", "tI2-Pa", "cI58-Mn"])
    numbers = [types.index(name) % 9 for name in ("tP30-CrFe", "tI2-Pa", "cI58-Mn")]
    assert numbers == [3, 4, 7]
    assert len(set(types)) == len(types)


def test_structures_of_any_name_can_be_types(tmp_path):
    path = tmp_path / "named.gsd"
    rng = np.random.default_rng(1)
    label = np.array([0, 1] * 15, np.int32)
    result = Result(
        label, np.ones(30, np.float32), np.zeros((30, 2), np.float32), ("flüssig", "σ-Phase")
    )
    frame = add_labels(make_frame(gas(30, rng), 0), result)
    frame.particles.type_shapes = [{"type": "Sphere", "diameter": 0.8}]
    append_frame(path, frame, keep_types=False)
    kinds = import_file(str(path)).compute().particles.particle_types
    np.testing.assert_array_equal(names_of(kinds), np.array(["flüssig", "σ-Phase"])[label])
    assert [kind.radius for kind in kinds.types] == pytest.approx([0.4] * len(kinds.types))
    assert read_frame(path).particles.type_shapes == [{"type": "Sphere", "diameter": 0.8}]


def test_labels_of_other_particles_than_the_frame_has_are_refused(bcc, tmp_path):
    path = tmp_path / "some.gsd"
    total = len(bcc.positions)
    result = Result(
        np.zeros(total, np.int32), np.ones(total), np.zeros((total, 2)), ("cI2-W", "disordered")
    )
    few = bcc._replace(positions=bcc.positions[:10], types=bcc.types[:10])
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.append(add_labels(make_frame(few, 0), result))
    with pytest.raises(InputError, match=rf"frame 0 of .* has 10 particles and labels of {total}"):
        view_trajectory(path)


def test_view_of_what_cannot_be_viewed(trajectory_path, labeled, tmp_path):
    with pytest.raises(InputError, match=r"frame 0 of .* holds no labels; hoomd-gala label"):
        view_trajectory(trajectory_path)
    assert not trajectory_path.with_name("bcc-view.gsd").exists()
    with pytest.raises(InputError, match="exists; remove it"):
        view_trajectory(labeled, labeled)
    with pytest.raises(InputError, match=r"it must end in \.gsd"):
        view_trajectory(labeled, tmp_path / "view.xyz")


def check(data, result):
    """The modifier's output says what the analyzer did."""
    kinds = data.particles["Structure Type"]
    expected = np.array([title(name) for name in result.names])
    np.testing.assert_array_equal(names_of(kinds), expected)
    np.testing.assert_allclose(data.particles["Confidence"], result.confidence, atol=1e-5)
    np.testing.assert_array_equal(
        data.particles["Color"], label_colors(result.label, result.class_names)
    )
    # types and attributes are the same in all frames, whatever occurs
    names = ["unknown", *result.class_names]
    assert list(types_of(kinds).values()) == [title(name) for name in names]
    for kind, name in zip(kinds.types, names, strict=True):
        np.testing.assert_allclose(kind.color, structure_color(name), atol=1e-6)
        fraction = data.attributes[f"hoomd_gala.fraction.{name}"]
        assert fraction == pytest.approx(result.fractions[name])
        assert data.attributes[f"hoomd_gala.counts.{name}"] == (result.names == name).sum()
    table = data.tables["structures"]
    assert (table.title, table.plot_mode) == ("Structure counts", DataTable.PlotMode.BarChart)
    assert table.y.array.sum() == len(result.label)
    # what a legend of this table lists
    assert set(types_of(table.x).values()) == set(names_of(table.x)) == set(expected)
    assert [prop.name for prop in data.particles.properties].count("Color") == 1


def test_modifier_after_one_of_ovitos_own(trajectory_path, model_path):
    pipeline = import_file(str(trajectory_path))
    pipeline.modifiers.append(CommonNeighborAnalysisModifier())
    pipeline.modifiers.append(hoomd_gala.ovito.ClassifierModifier(model=str(model_path)))
    with open_trajectory(trajectory_path) as frames:
        expected = Analyzer(model_path, "cpu").analyze(frames[0])
    check(pipeline.compute(0), expected)


def test_modifier_labels_what_a_pipeline_loads(trajectory_path, model_path):
    pipeline = import_file(str(trajectory_path))
    pipeline.modifiers.append(hoomd_gala.ovito.ClassifierModifier(model=str(model_path)))
    with open_trajectory(trajectory_path) as trajectory:
        for i in (0, 4):
            check(pipeline.compute(i), Analyzer(model_path).analyze(trajectory[i]))


def test_only_selected_particles_have_structures_and_are_neighbors(bcc, model_path, tmp_path):
    rng = np.random.default_rng(7)
    total = len(bcc.positions)
    salt = rng.uniform(-0.5, 0.5, size=(total, 3)) @ np.diag(bcc.box[:3])
    kinds = np.repeat([0, 1], total)
    system = make_system(np.concatenate([bcc.positions, salt]), bcc.box, kinds)
    frame = make_frame(system, 0, ["A", "B"])
    path = tmp_path / "salt.gsd"
    # labels that the file holds are of other neighbors
    held = Analyzer(model_path).analyze(frame)
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.append(add_labels(frame, held))
    assert held.fractions["cI2-W"] < 0.1
    pipeline = import_file(str(path))
    modifier = hoomd_gala.ovito.ClassifierModifier(model=str(model_path), only_selected=True)
    pipeline.modifiers.append(modifier)
    with pytest.raises(InputError, match="no particles are selected; put a modifier"):
        pipeline.compute()
    pipeline.modifiers.insert(0, SelectTypeModifier(property="Particle Type", types={"A"}))
    data = pipeline.compute()
    expected = Analyzer(model_path).analyze(frame, neighbors="A")
    assert expected.fractions["cI2-W"] > 0.95
    names = names_of(data.particles["Structure Type"])
    np.testing.assert_array_equal(names[:total], [title(name) for name in expected.names])
    assert set(names[total:]) == {"unknown"}
    assert (data.particles["Confidence"].array[total:] == 0).all()
    for name, fraction in expected.fractions.items():
        assert data.attributes[f"hoomd_gala.fraction.{name}"] == pytest.approx(fraction)
    assert data.tables["structures"].y.array.sum() == total
    # without, as before
    modifier.only_selected = False
    names = names_of(pipeline.compute().particles["Structure Type"])
    np.testing.assert_array_equal(names, [title(name) for name in held.names])


def test_fractions_that_a_file_holds_are_of_what_was_labeled(bcc, model_path, tmp_path):
    total = len(bcc.positions)
    half = np.arange(total // 2)
    held = Analyzer(model_path).analyze_system(bcc, half)
    # one is unknown, and half of all particles have no label
    label = held.label.copy()
    label[0] = -1
    held = replace(held, label=label)
    path = tmp_path / "half.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.append(add_labels(make_frame(bcc, 0), held, half))
        nobody = Analyzer(model_path).analyze_system(bcc, half[:0])
        trajectory.append(add_labels(make_frame(bcc, 1), nobody, half[:0]))
    pipeline = import_file(str(path))
    pipeline.modifiers.append(hoomd_gala.ovito.ClassifierModifier())
    attributes = pipeline.compute(0).attributes
    assert held.fractions["unknown"] == 1 / len(half)
    for name, fraction in held.fractions.items():
        assert attributes[f"hoomd_gala.fraction.{name}"] == pytest.approx(fraction)
        assert attributes[f"hoomd_gala.counts.{name}"] == round(fraction * len(half))
    attributes = pipeline.compute(1).attributes
    assert {attributes[f"hoomd_gala.fraction.{name}"] for name in held.fractions} == {0}


def test_modifier_of_a_cluster_without_a_cell(model_path):
    ball = droplet(displace(crystal(unit_cell("cI2-W"), 2000), 0.03, np.random.default_rng(8)), 0.8)
    data = DataCollection()
    particles = data.create_particles(count=len(ball.system.positions))
    particles.create_property("Position", data=ball.system.positions)
    expected = Analyzer(model_path).analyze(ball.system.positions, periodic=False)
    data.apply(hoomd_gala.ovito.ClassifierModifier(model=str(model_path)))
    check(data, expected)
    assert (expected.names[ball.intact > 0.99] == "cI2-W").mean() > 0.95


def test_modifier_serves_other_modifiers_in_all_frames(rows_of_structures):
    pipeline = import_file(str(rows_of_structures))
    pipeline.modifiers.append(hoomd_gala.ovito.ClassifierModifier())
    # a structure that the first frame does not have
    pipeline.modifiers.append(SelectTypeModifier(property="Structure Type", types={"bcc (cI2-W)"}))
    first, second, again = (pipeline.compute(frame) for frame in (0, 1, 0))
    lists = [types_of(data.particles["Structure Type"]) for data in (first, second, again)]
    assert lists[0] == lists[1] == lists[2]
    for data, share in ((first, 0.0), (second, 1 / 6), (again, 0.0)):
        assert data.attributes["hoomd_gala.fraction.hP2-Mg"] == pytest.approx(share)
        assert data.attributes["SelectType.num_selected"] == round(36 * share)


def test_types_of_a_labeled_file_are_the_same_in_whatever_order_frames_are_seen(
    rows_of_structures,
):
    for order in ((0, 1, 0, 1), (1, 0, 1)):
        pipeline = import_file(str(rows_of_structures))
        for frame in order:
            kinds = pipeline.compute(frame).particles.particle_types
            with open_trajectory(rows_of_structures) as trajectory:
                label, names = frame_labels(trajectory[frame])
            titles = [*map(title, names), "unknown"]
    np.testing.assert_array_equal(names_of(kinds), np.array(titles)[label])


def test_modifier_shows_labels_that_the_file_holds(labeled, tmp_path):
    with open_trajectory(labeled) as trajectory, gsd.hoomd.open(tmp_path / "c.gsd", "w") as copy:
        for frame in trajectory:
            # a logged color, which is a property of the user's to OVITO
            frame.log["particles/Color"] = np.zeros((frame.particles.N, 3), np.float32)
            copy.append(frame)
    pipeline = import_file(str(tmp_path / "c.gsd"))
    pipeline.modifiers.append(hoomd_gala.ovito.ClassifierModifier())
    data = pipeline.compute(3)
    with open_trajectory(labeled) as trajectory:
        label, names = frame_labels(trajectory[3])
    np.testing.assert_array_equal(
        names_of(data.particles["Structure Type"]),
        np.array([*map(title, names), "unknown"])[label],
    )
    assert [prop.name for prop in data.particles.properties].count("Color") == 1
    np.testing.assert_array_equal(data.particles.colors, label_colors(label, names))


def test_the_modifiers_are_found_where_ovito_looks_for_modifiers():
    from importlib.metadata import entry_points

    from hoomd_gala.integrations.ovito import ClassifierModifier, DenoiseModifier

    entries = [
        one for one in entry_points(group="OVITO.Modifier") if one.value.startswith("hoomd_gala.")
    ]
    assert {entry.load() for entry in entries} == {ClassifierModifier, DenoiseModifier}
    assert all("hoomd-gala" in entry.name for entry in entries)
