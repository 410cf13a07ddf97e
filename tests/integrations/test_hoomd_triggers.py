"""Triggers on fractions of structures in a real HOOMD-blue simulation."""

import pickle

import numpy as np
import pytest
from conftest import HAS_HOOMD

if not HAS_HOOMD:
    pytest.skip("HOOMD-blue is not installed", allow_module_level=True)

import hoomd
from test_hoomd import attach, count  # noqa: F401 (a fixture)

import hoomd_gala
from hoomd_gala.errors import InputError
from hoomd_gala.files import make_frame


class Sequence(hoomd.custom.Action):
    """Puts the simulation through given configurations, one after the other."""

    def __init__(self, configurations):
        super().__init__()
        self.configurations = configurations

    def act(self, timestep):
        index = min(timestep // 10, len(self.configurations) - 1)
        with self._state.cpu_local_snapshot as snapshot:
            rtag = snapshot.particles.rtag
            snapshot.particles.position[rtag] = self.configurations[index]


@pytest.fixture
def growing(bcc):
    """A simulation of which a given part is a crystal and the rest is not.

    Every 10 timesteps, the next fraction of the list is taken.
    """
    crystal = make_frame(bcc, 0).particles.position.astype(float)
    edges = bcc.box[:3]
    rng = np.random.default_rng(7)

    def make(fractions):
        configurations = []
        for fraction in fractions:
            top = (fraction - 0.5) * edges[2]
            melted = crystal[:, 2] > top
            positions = crystal.copy()
            positions[melted] = rng.uniform(-0.5, 0.5, (melted.sum(), 3)) * edges
            positions[melted, 2] = rng.uniform(top, edges[2] / 2, melted.sum())
            configurations.append(positions)
        snapshot = hoomd.Snapshot()
        snapshot.configuration.box = bcc.box
        snapshot.particles.N = len(crystal)
        snapshot.particles.types = ["A"]
        snapshot.particles.position[:] = configurations[0]
        sim = hoomd.Simulation(hoomd.device.CPU(), seed=1)
        sim.create_state_from_snapshot(snapshot)
        sim.operations.updaters.append(
            hoomd.update.CustomUpdater(action=Sequence(configurations), trigger=1)
        )
        return sim

    return make


class Note(hoomd.custom.Action):
    """Remembers when it was called."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def act(self, timestep):
        self.steps.append(timestep)


def test_trigger_switches_once_past_each_threshold(growing, model_path):
    # solid fractions at about timesteps 0, 10, 20, ...
    simulation = growing([0.0, 0.5, 0.95, 0.65, 0.5, 0.65, 0.2, 0.2])
    classifier = hoomd_gala.Classifier(model_path)
    attach(simulation, classifier, trigger=1_000_000)
    seen = []
    trigger = hoomd_gala.triggers.Fraction(
        classifier, ["cI2-W", "cF4-Cu"], above=0.7, release=0.4, period=1
    )
    solid = hoomd_gala.triggers.Fraction(classifier, above=0.7, period=1)
    simulation.run(0)
    for _ in range(8):
        simulation.run(5)
        active = trigger(simulation.timestep)
        seen.append((round(classifier.fraction(["cI2-W", "cF4-Cu"]), 2), active))
        assert active == trigger.active
        assert solid(simulation.timestep) == (classifier.solid_fraction >= 0.7)
        simulation.run(5)
    fractions, active = zip(*seen, strict=True)
    assert fractions[0] < 0.1
    assert fractions[2] >= 0.7
    assert all(0.4 < fractions[i] < 0.7 for i in (3, 5)), fractions
    assert fractions[6] < 0.4
    switched = fractions[4] >= 0.4
    assert active[:4] == (False, False, True, True)
    assert active[4] == switched
    assert active[6:] == (False, False)


def test_trigger_writes_densely_during_a_transition_at_no_extra_cost(growing, model_path, count):  # noqa: F811
    simulation = growing([0.0] * 3 + [0.5] * 3 + [1.0] * 4)
    classifier = hoomd_gala.Classifier(model_path)
    note, negated = Note(), Note()
    begun = hoomd_gala.triggers.Fraction(classifier, above=0.2, period=10)
    done = hoomd_gala.triggers.Fraction(classifier, above=0.9, period=10)
    during = hoomd.trigger.And([hoomd.trigger.Periodic(2), begun, hoomd.trigger.Not(done)])
    for action, trigger in ((note, during), (negated, hoomd.trigger.Not(begun))):
        simulation.operations.writers.append(hoomd.write.CustomWriter(trigger, action))
    attach(simulation, classifier, trigger=1_000_000)
    simulation.run(100)
    # labels are up to 10 timesteps old
    assert note.steps == list(range(note.steps[0], note.steps[-1] + 1, 2))
    assert 30 <= note.steps[0] <= 42
    assert 58 <= note.steps[-1] <= 72
    assert negated.steps == list(range(1, negated.steps[-1] + 1))
    assert 30 <= negated.steps[-1] <= 42
    assert len(count) <= 11


def test_stopping_at_nucleation(growing, model_path):
    simulation = growing([0.0, 0.0, 0.0, 0.6, 1.0, 1.0])
    classifier = hoomd_gala.Classifier(model_path)
    attach(simulation, classifier, trigger=1_000_000)
    nucleated = hoomd_gala.triggers.Fraction(classifier, "cI2-W", above=0.3)
    simulation.run(0)
    while simulation.timestep < 100 and not nucleated(simulation.timestep):
        simulation.run(5)
    assert 30 < simulation.timestep <= 40
    assert classifier.fraction("cI2-W") >= 0.3
    # copies keep whether they are active
    assert pickle.loads(pickle.dumps(nucleated)).active


def test_bad_triggers_are_answered_with_a_sentence(model_path):
    classifier = hoomd_gala.Classifier(model_path)
    fraction = hoomd_gala.triggers.Fraction
    with pytest.raises(InputError, match=r"no class 'iron'; it knows fcc \(cF4-Cu\)"):
        fraction(classifier, "iron", above=0.5)
    with pytest.raises(InputError, match="0 < release <= above <= 1"):
        fraction(classifier, above=0.5, release=0.6)
    with pytest.raises(InputError, match="period is 0"):
        fraction(classifier, above=0.5, period=0)
