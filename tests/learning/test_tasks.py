"""The tasks: what is done to the environments, and that it can be learned."""

import math

import numpy as np
import pytest
import torch

from hoomd_gala.errors import InputError
from hoomd_gala.files.trajectories import make_frame
from hoomd_gala.learning.config import TASK_NAMES
from hoomd_gala.learning.datasets import cell_frames, parse_range, to_tensors, trajectory_frames
from hoomd_gala.learning.fitting import fit
from hoomd_gala.learning.tasks import TASKS, denoising, noisy_bonds, shift_identification
from hoomd_gala.learning.tasks.lengths import UNIT
from hoomd_gala.learning.training import TrainingConfig, seeded
from hoomd_gala.networks import NETWORKS, CoreConfig

CELLS = ["cF4-Cu", "cI2-W"]


@pytest.fixture(scope="module")
def frames():
    return cell_frames(CELLS, [0.02, 0.06], 150, np.random.default_rng(1), n_particles=500)


@pytest.fixture(scope="module")
def clean(frames):
    return to_tensors(frames[0], CoreConfig(2), 1.0)


def test_every_task_has_a_network():
    assert set(NETWORKS) - {"embedding"} == set(TASKS) == set(TASK_NAMES)


def corrupted(task, clean, seed=1):
    return TASKS[task].corrupt(clean, seeded(seed))


@pytest.mark.parametrize("task", TASKS)
def test_corruption_repeats_with_its_seed_and_leaves_the_clean_data(task, clean):
    before = {key: value.clone() for key, value in clean.items()}
    first, again, other = (corrupted(task, clean, seed) for seed in (1, 1, 2))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert all(torch.equal(clean[key], before[key]) for key in clean)
    same = all(torch.equal(first[key], other[key]) for key in first)
    assert same == (task in ("nearest-bond", "frame-classification"))


def test_denoising_adds_noise_of_the_said_size_without_its_mean(clean):
    batch = corrupted("denoising", clean)
    noise = (batch["bonds"] - batch["target"]) / UNIT
    assert torch.equal(batch["target"], clean["bonds"])
    assert noise.mean(dim=1).abs().max() < 1e-6
    assert float(noise.std()) == pytest.approx(denoising.NOISE * math.sqrt(19 / 20), rel=0.02)


def test_shift_moves_all_bonds_by_the_target(clean):
    batch = corrupted("shift-identification", clean)
    moved = batch["bonds"] - clean["bonds"]
    expected = batch["target"][:, None].expand_as(moved)
    torch.testing.assert_close(moved, expected, atol=1e-6, rtol=0)
    low, high = shift_identification.SMALLEST, shift_identification.LARGEST
    mean_square = (high**2 - low**2) / (2 * math.log(high / low))
    size = float((batch["target"] / UNIT).square().mean())
    assert size == pytest.approx(mean_square, rel=0.2)


def test_nearest_bond_is_left_out(clean):
    batch = corrupted("nearest-bond", clean)
    assert batch["bonds"].shape == (len(clean["bonds"]), 19, 3)
    assert batch["types"].shape == (len(clean["bonds"]), 19, 4)
    shortest = batch["target"].norm(dim=-1)
    assert (shortest[:, None] <= batch["bonds"].norm(dim=-1)).all()
    together = torch.cat((batch["target"][:, None], batch["bonds"]), dim=1)
    # neighbors come nearest first, so that nothing but the place of the shortest is known
    torch.testing.assert_close(together, clean["bonds"])


def test_half_of_the_bonds_are_moved_and_named(clean):
    batch = corrupted("noisy-bonds", clean)
    moved = (batch["bonds"] != clean["bonds"]).any(dim=-1)
    assert torch.equal(moved.long(), batch["target"])
    assert (moved.sum(dim=-1) == 10).all()
    noise = (batch["bonds"] - clean["bonds"])[moved] / UNIT
    assert float(noise.std()) == pytest.approx(noisy_bonds.NOISE, rel=0.02)
    assert moved.float().mean(dim=0).sub(0.5).abs().max() < 0.15  # none more often than others


#: Passes over the 420 training environments that are enough to beat every baseline.
EPOCHS = {"shift-identification": 14, "frame-classification": 10}


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_learned_better_than_without_a_network(task, frames):
    core = CoreConfig(width=16, hidden=16, blocks=1, tied=True)
    config = TrainingConfig(epochs=EPOCHS.get(task, 8), batch_size=16)
    environments, names = frames
    model, curve = fit(
        task, environments, names, core, config, length_scale=1.0, length_convention="shortest"
    )
    assert model.info.task == task
    reached = curve[-1]
    for name, baseline in model.info.card["baselines"].items():
        for metric, value in baseline.items():
            better = -1 if metric == "accuracy" else 1
            assert better * reached[f"validation_{metric}"] < better * value, name


def test_frames_are_named_for_cell_and_noise(frames):
    environments, names = frames
    assert names == (
        "cF4-Cu noise 0.02",
        "cF4-Cu noise 0.06",
        "cI2-W noise 0.02",
        "cI2-W noise 0.06",
    )
    assert np.bincount(environments.labels).tolist() == [150] * 4
    shortest = np.linalg.norm(environments.bonds[environments.labels == 0], axis=-1).min(axis=1)
    assert np.median(shortest) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("run.gsd", [0, 1, 2, 3, 4]),
        ("run.gsd@1:4", [1, 2, 3]),
        ("run.gsd@::2", [0, 2, 4]),
        ("run.gsd@-1", [4]),
        ("run.gsd@3", [3]),
        ("run.gsd@-2:", [3, 4]),
        ("a@b/run.gsd@:1", [0]),
    ],
)
def test_ranges_of_frames(text, chosen):
    path, frames = parse_range(text)
    assert path.name == "run.gsd"
    assert list(range(5)[frames]) == chosen


@pytest.mark.parametrize("text", ["run.gsd@", "run.gsd@one", "run.gsd@1:2:0", "run.gsd@1:2:3:4"])
def test_bad_ranges_are_refused(text):
    with pytest.raises(InputError, match="is not a range of frames"):
        parse_range(text)


def test_trajectory_frames_are_named_for_file_and_timestep(trajectory_path):
    rng = np.random.default_rng(1)
    environments, names = trajectory_frames([parse_range(f"{trajectory_path}@1::2")], 30, rng)
    assert names == ("bcc.gsd:10", "bcc.gsd:30")
    assert np.bincount(environments.labels).tolist() == [30, 30]


def test_trajectory_input_that_cannot_be_used(trajectory_path, tmp_path):
    rng = np.random.default_rng(1)
    with pytest.raises(InputError, match="has 5 frames and none of them"):
        trajectory_frames([parse_range(f"{trajectory_path}@7:")], 10, rng)
    with pytest.raises(InputError, match=r"frame bcc\.gsd@0 is given twice"):
        trajectory_frames([parse_range(f"{trajectory_path}@0")] * 2, 10, rng)
    with pytest.raises(InputError, match="there is no file"):
        trajectory_frames([parse_range(str(tmp_path / "no.gsd"))], 10, rng)


def test_frame_without_environments_is_named(tmp_path, bcc):
    import gsd.hoomd

    flat = make_frame(bcc, 0)
    flat.configuration.dimensions = 2
    with gsd.hoomd.open(tmp_path / "flat.gsd", "w") as trajectory:
        trajectory.append(flat)
    with pytest.raises(InputError, match=r"frame 0 of .*flat.gsd: the frame is two-dimensional"):
        trajectory_frames([parse_range(str(tmp_path / "flat.gsd"))], 10, np.random.default_rng(1))
