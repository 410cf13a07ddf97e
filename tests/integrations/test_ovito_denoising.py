"""The OVITO modifier that takes thermal displacements out of positions."""

import numpy as np
import pytest
from ovito.modifiers import AffineTransformationModifier
from ovito.pipeline import Pipeline, StaticSource

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals import crystal, displace, unit_cell
from hoomd_gala.errors import InputError
from hoomd_gala.files import make_frame
from hoomd_gala.files.conversion import ovito_data
from hoomd_gala.integrations.ovito import BODY, DenoiseModifier


@pytest.fixture(scope="module")
def frame():
    system = displace(crystal(unit_cell("hP2-Mg"), 150), 0.07, np.random.default_rng(2))
    return make_frame(system, 0)


def compute(data, modifier):
    pipeline = Pipeline(source=StaticSource(data=data))
    pipeline.modifiers.append(modifier)
    return pipeline.compute()


def test_positions_are_those_of_the_analyzer(denoiser_path, frame):
    data = ovito_data(frame)
    before = np.array(data.particles.positions)
    data.particles_.create_property("Velocity", data=np.ones_like(before))
    found = compute(data, DenoiseModifier(model=denoiser_path, device="cpu", steps=3))
    expected = Analyzer(denoiser_path, "cpu").denoise(frame, steps=3)
    np.testing.assert_allclose(found.particles.positions, expected, atol=1e-5)
    assert np.abs(expected - before).max() > 1e-3
    np.testing.assert_array_equal(found.particles.velocities, 1)
    # the file given by its own trait comes first, and no step is none
    found = compute(data, DenoiseModifier(model_file=str(denoiser_path), steps=0))
    np.testing.assert_allclose(found.particles.positions, before, atol=1e-6)


def test_cells_in_any_orientation(denoiser_path, frame):
    turn = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
    pipeline = Pipeline(source=StaticSource(data=ovito_data(frame)))
    pipeline.modifiers.append(
        AffineTransformationModifier(transformation=np.column_stack((turn, [1.0, 2.0, 3.0])))
    )
    data = pipeline.compute()
    found = compute(data, DenoiseModifier(model=denoiser_path, steps=2)).particles.positions
    expected = Analyzer(denoiser_path, "cpu").denoise(frame, steps=2)
    np.testing.assert_allclose(found, expected @ turn.T + [1, 2, 3], atol=1e-4)


def test_constituents_move_with_their_center(denoiser_path, frame):
    data = ovito_data(frame)
    body = np.full(frame.particles.N, -1)
    body[[3, 10]] = 3
    data.particles_.create_property(BODY, data=body)
    before = np.array(data.particles.positions)
    moved = (
        compute(data, DenoiseModifier(model=denoiser_path, steps=2)).particles.positions - before
    )
    np.testing.assert_allclose(moved[10], moved[3], atol=1e-6)


def test_what_cannot_be_done_is_said_in_a_sentence(frame):
    with pytest.raises(InputError, match='use the model "denoise"'):
        compute(ovito_data(frame), DenoiseModifier(model="structures"))
    with pytest.raises(InputError, match="no model is named 'nothing'"):
        compute(ovito_data(frame), DenoiseModifier(model="nothing"))
