"""What a person sees in OVITO: files, copies to look at, and the modifier."""

import gsd.hoomd
import numpy as np
import pytest
from ovito.io import import_file
from ovito.modifiers import PolyhedralTemplateMatchingModifier

import hoomd_gala
from hoomd_gala.analyzer import Analyzer
from hoomd_gala.cli import main
from hoomd_gala.colors import COLORS, OVITO_TYPE_ORDER, label_colors, structure_color
from hoomd_gala.errors import InputError
from hoomd_gala.labeling import label_trajectory, view_trajectory
from hoomd_gala.trajectories import frame_labels, open_trajectory


@pytest.fixture
def labelled(trajectory_path, model_path, tmp_path):
    """Five labelled frames of a bcc crystal."""
    path = tmp_path / "labeled.gsd"
    label_trajectory(trajectory_path, path, model_path)
    return path


def types_of(prop):
    return {kind.id: kind.name for kind in prop.types}


def names_of(prop):
    """Name of each particle's type."""
    types = types_of(prop)
    return np.array([types[k] for k in prop.array])


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


def test_labelled_file_is_colored_at_once(labelled):
    data = import_file(str(labelled)).compute(2)
    bcc = np.array(data.particles["hoomd_gala_Classifier_label"]) == 1
    assert bcc.mean() > 0.9
    np.testing.assert_allclose(
        np.array(data.particles["Color"])[bcc], [COLORS["cI2-W"]] * bcc.sum()
    )


def test_view_has_structures_as_named_and_colored_types(labelled, capsys):
    assert main(["view", str(labelled)]) == 0
    path = labelled.with_name("labeled-view.gsd")
    assert capsys.readouterr().out.strip() == str(path)
    pipeline = import_file(str(path))
    assert pipeline.source.num_frames == 5
    data = pipeline.compute(4)
    with open_trajectory(labelled) as trajectory:
        frame = trajectory[4]
    label, names = frame_labels(frame)
    kinds = data.particles.particle_types
    np.testing.assert_array_equal(names_of(kinds), np.array([*names, "unknown"])[label])
    np.testing.assert_array_equal(data.particles["particle_type"], frame.particles.typeid)
    np.testing.assert_allclose(data.particles.positions, frame.particles.position, atol=1e-6)
    assert data.attributes["energy"] == 4
    # OVITO's own colors for types, in the order that they are in, look like those of structures;
    # hexagonal diamond is yellow, cubic diamond cyan, and what is unknown as white as the rest
    assert "Color" not in data.particles
    for kind in kinds.types:
        if kind.name not in ("hP4-C.3", "cF8-C", "unknown"):
            np.testing.assert_allclose(kind.color, COLORS[kind.name], atol=0.21)


def test_view_lists_other_structures_that_occur(labelled, tmp_path):
    path = tmp_path / "other.gsd"
    with open_trajectory(labelled) as trajectory, gsd.hoomd.open(path, "w") as other:
        for i, frame in enumerate(trajectory):
            label = frame.log["particles/hoomd_gala/Classifier/label"].copy()
            label[0] = 0 if i == 3 else 1
            frame.log["particles/hoomd_gala/Classifier/label"] = label
            names = np.array([b"mine", b"cI2-W", b"others"], "S7").view(np.int8).reshape(3, 7)
            frame.log["hoomd_gala/Classifier/names"] = names
            other.append(frame)
    out = view_trajectory(path, tmp_path / "view.gsd")
    with open_trajectory(out) as trajectory:
        # "others" occurs in no frame
        assert trajectory[0].particles.types[:-1] == list(OVITO_TYPE_ORDER)
        assert trajectory[0].particles.types[-1] in ("mine", "others")
        assert "mine" in trajectory[0].particles.types
        typeid = trajectory[3].particles.typeid
        assert trajectory[3].particles.types[typeid[0]] == "mine"
        assert trajectory[2].particles.types[trajectory[2].particles.typeid[0]] == "cI2-W"


def test_view_of_what_cannot_be_viewed(trajectory_path, labelled, tmp_path):
    with pytest.raises(InputError, match=r"frame 0 of .* holds no labels; hoomd-gala label"):
        view_trajectory(trajectory_path)
    assert not trajectory_path.with_name("bcc-view.gsd").exists()
    with pytest.raises(InputError, match="exists; remove it"):
        view_trajectory(labelled, labelled)
    with pytest.raises(InputError, match=r"let it end in \.gsd"):
        view_trajectory(labelled, tmp_path / "view.xyz")


def check(data, result):
    """The modifier's output says what the analyzer did."""
    kinds = data.particles["Structure Type"]
    expected = np.array([*result.class_names, "unknown"])[result.label]
    np.testing.assert_array_equal(names_of(kinds), expected)
    np.testing.assert_allclose(data.particles["Confidence"], result.confidence, atol=1e-5)
    np.testing.assert_array_equal(
        data.particles["Color"], label_colors(result.label, result.class_names)
    )
    for kind in kinds.types:
        np.testing.assert_allclose(kind.color, structure_color(kind.name), atol=1e-6)
        fraction = data.attributes[f"hoomd_gala.fraction.{kind.name}"]
        assert fraction == pytest.approx(result.fractions[kind.name])
    table = data.tables["structures"]
    assert table.y.array.sum() == len(result.label)
    assert set(types_of(table.x).values()) == set(expected)


def test_modifier_labels_what_a_pipeline_loads(trajectory_path, model_path):
    pipeline = import_file(str(trajectory_path))
    pipeline.modifiers.append(hoomd_gala.ovito.ClassifierModifier(model=str(model_path)))
    with open_trajectory(trajectory_path) as trajectory:
        for i in (0, 4):
            check(pipeline.compute(i), Analyzer(model_path).analyze(trajectory[i]))


def test_modifier_shows_labels_that_the_file_holds(labelled):
    pipeline = import_file(str(labelled))
    pipeline.modifiers.append(hoomd_gala.ovito.ClassifierModifier())
    data = pipeline.compute(3)
    with open_trajectory(labelled) as trajectory:
        label, names = frame_labels(trajectory[3])
    np.testing.assert_array_equal(
        names_of(data.particles["Structure Type"]), np.array([*names, "unknown"])[label]
    )
