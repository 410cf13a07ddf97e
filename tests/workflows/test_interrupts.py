"""Simulations that Ctrl-C ends, and that are the same whatever they are cut into."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import openmm
import pytest
from study.simulation.openmm_units import advance, pick_platform

PARTICLES = 64


def liquid():
    """An integrator of a small Lennard-Jones liquid, and its context."""
    system = openmm.System()
    force = openmm.CustomNonbondedForce("4*(r^-12-r^-6)")
    force.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    force.setCutoffDistance(2.0)
    for _ in range(PARTICLES):
        system.addParticle(1.0)
        force.addParticle([])
    system.addForce(force)
    system.setDefaultPeriodicBoxVectors([4.4, 0, 0], [0, 4.4, 0], [0, 0, 4.4])
    integrator = openmm.LangevinMiddleIntegrator(100.0, 1.0, 0.005)
    integrator.setRandomNumberSeed(1)
    context = openmm.Context(system, integrator, *pick_platform(threads=1))
    edge = np.arange(4) * 1.1
    context.setPositions(np.stack(np.meshgrid(edge, edge, edge), -1).reshape(-1, 3))
    context.setVelocitiesToTemperature(100.0, 1)
    return integrator, context


def positions(context):
    return context.getState(getPositions=True).getPositions(asNumpy=True)._value


#: A process of its own: OVITO, where a test before has loaded it, handles signals itself.
INTERRUPTED = """
import os, signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
from test_interrupts import advance, liquid
integrator, context = liquid()
threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    advance(integrator, 50_000)
except KeyboardInterrupt:
    print("interrupted after", context.getStepCount())
"""


def test_an_interrupt_ends_a_simulation_before_its_last_step():
    here = Path(__file__).parent
    path = os.pathsep.join((str(here), *sys.path))
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    said, _, steps = done.stdout.strip().rpartition(" ")
    assert said == "interrupted after"
    assert int(steps) < 50_000


@pytest.mark.parametrize("steps", [0, 99, 250])
def test_a_simulation_in_pieces_is_the_same(steps):
    integrator, context = liquid()
    start = context.createCheckpoint()
    integrator.step(steps)
    unbroken = positions(context)
    context.loadCheckpoint(start)
    advance(integrator, steps)
    assert context.getStepCount() == steps
    np.testing.assert_array_equal(positions(context), unbroken)
