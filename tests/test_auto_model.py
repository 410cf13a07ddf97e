"""The model "auto": which one it stands for, who decides, and that it is said once."""

import gsd.hoomd
import numpy as np
import pytest
import torch
from commands import fails

from hoomd_gala import Analyzer, InputError
from hoomd_gala.cli import main
from hoomd_gala.files import frame_labels, make_frame, read_frame
from hoomd_gala.files.shipped import auto_model
from hoomd_gala.systems import as_system

SAID = {
    "compounds": "the model is compounds, as the particles are of several types\n",
    "structures": "the model is structures, as the particles are of one type\n",
}


@pytest.fixture
def salt(bcc):
    """A frame of two types on the sites of bcc, and the name of a third that no particle has."""
    return make_frame(bcc._replace(types=np.arange(len(bcc.positions)) % 2), 0, ("A", "B", "C"))


@pytest.fixture
def element(bcc):
    """The same of one type, which is not the first one."""
    return make_frame(bcc._replace(types=np.ones(len(bcc.positions), int)), 0, ("A", "B", "C"))


@pytest.fixture
def bodies(bcc):
    """Rigid bodies on the same sites, of a center A and a constituent B each."""
    n = len(bcc.positions)
    positions = np.concatenate((bcc.positions, bcc.positions + 0.1))
    frame = make_frame(bcc._replace(positions=positions, types=np.repeat([0, 1], n)), 0, ("A", "B"))
    frame.particles.body = np.tile(np.arange(n), 2)
    return frame


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_several_types_are_a_compound(kind):
    for types in ([3, 3, 2**40], [0, 1], [-1, 0]):
        assert auto_model(kind(types)) == "compounds"
    for types in ([], [7], [0, 0], [1000, 1000]):
        assert auto_model(kind(types)) == "structures"


def test_the_first_system_decides_for_all(salt, element, capsys):
    analyzer = Analyzer("auto")
    assert capsys.readouterr().err == ""
    for frame in (salt, element, salt):
        found, expected = analyzer.analyze(frame), Analyzer("compounds").analyze(frame)
        assert "cF8-ClNa" in found.class_names
        np.testing.assert_array_equal(found.label, expected.label)
    assert capsys.readouterr().err == "hoomd-gala: " + SAID["compounds"]
    assert Analyzer("auto").analyze(element).fraction("bcc") > 0.9
    assert capsys.readouterr().err == "hoomd-gala: " + SAID["structures"]


def test_only_those_that_may_be_neighbors_count(salt, bodies):
    for frame, options in ((salt, {"neighbors": "B"}), (bodies, {})):
        analyzer = Analyzer("auto")
        analyzer.analyze(frame, **options)
        assert "cF8-ClNa" not in analyzer.class_names
    # those that are labeled have neighbors of both types
    for frame, options in ((salt, {"particles": "B"}), (bodies, {"neighbors": ["A", "B"]})):
        analyzer = Analyzer("auto")
        analyzer.analyze(frame, **options)
        assert "cF8-ClNa" in analyzer.class_names


@pytest.mark.parametrize(
    "ask",
    [
        lambda analyzer, system: analyzer.class_names,
        lambda analyzer, system: analyzer.model,
        lambda analyzer, system: analyzer.unknown(3),
        lambda analyzer, system: analyzer.denoise(system),
    ],
)
def test_what_depends_on_the_model_needs_one(ask, bcc):
    with pytest.raises(InputError) as caught:
        ask(Analyzer("auto"), bcc)
    assert str(caught.value) == (
        'the model is "auto", which the first system decides, and there has been none; give the '
        'model by its name, "compounds" or "structures".'
    )


@pytest.mark.parametrize(
    ("name", "more"), [("embed_system", ()), ("embed_particles", (np.array([3, 1]),))]
)
def test_embeddings_decide_too(name, more, salt):
    system = as_system(salt)
    found, expected = (
        getattr(Analyzer(model), name)(system, *more) for model in ("auto", "compounds")
    )
    for part, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(part, other)


@pytest.mark.parametrize(
    ("frames", "options", "name"),
    [
        (("salt", "element"), [], "compounds"),
        (("element", "salt"), [], "structures"),
        (("salt",), ["--neighbors", "B"], "structures"),
        (("salt",), ["--types", "B"], "compounds"),
        (("bodies",), [], "structures"),
        (("bodies",), ["--neighbors", "A,B"], "compounds"),
    ],
)
def test_label_decides_by_the_first_frame(frames, options, name, request, tmp_path, capsys):
    source, out, same = (tmp_path / end for end in ("run.gsd", "out.gsd", "same.gsd"))
    with gsd.hoomd.open(source, "w") as trajectory:
        for step, frame in enumerate(map(request.getfixturevalue, frames)):
            frame.configuration.step = step
            trajectory.append(frame)
    label = ["label", str(source)]
    assert main([*label, str(out), "--model", "auto", *options]) == 0
    said = capsys.readouterr().err
    assert said.count(SAID[name]) == said.count("the model is") == 1
    assert main([*label, str(same), "--model", name, *options]) == 0
    assert "the model is" not in capsys.readouterr().err
    (found, classes), (expected, known) = (frame_labels(read_frame(one)) for one in (out, same))
    assert tuple(classes) == tuple(known) == Analyzer(name).class_names
    np.testing.assert_array_equal(found, expected)


def test_other_commands_know_no_such_model(tmp_path, capsys):
    assert "no model is named 'auto'" in fails(capsys, "models", "auto")
    command = ["finetune", "auto", "--task", "denoising", "--output", tmp_path / "x.safetensors"]
    assert "no model is named 'auto'" in fails(capsys, *command)
