"""Labels of simulations on MPI ranks, whatever the domains: a script for mpirun.

Arguments: folder, models as "name=model", "--", and for each simulation the name of its GSD file in
the folder and its domains, "name:2,1,1" or, for uneven ones, fractions: "name:0.2 0.8,1,1". Every
model labels every simulation; starting a rank takes longer than all of that.
"""

import itertools
import sys
from pathlib import Path

import hoomd
import numpy as np
from mixtures import simulation_of

import hoomd_gala

folder, *rest = sys.argv[1:]
models, simulations = rest[: rest.index("--")], rest[rest.index("--") + 1 :]
for simulation, one in itertools.product(simulations, models):
    name, domains = simulation.split(":")
    model_name, _, model = one.partition("=")
    shares = [[float(share) for share in axis.split()] for axis in domains.split(",")]
    uneven = any(share[0] < 1 for share in shares)
    decomposition = shares if uneven else [int(share[0]) for share in shares]
    run = simulation_of(
        Path(folder, f"{name}.gsd"), hoomd.communicator.Communicator(), decomposition
    )
    classifier = hoomd_gala.Classifier(model)
    run.operations.writers.append(hoomd.write.CustomWriter(action=classifier, trigger=1))
    run.run(0)
    rank = run.device.communicator.rank
    found = {
        quantity: getattr(classifier, quantity) for quantity in ("label", "confidence", "embedding")
    }
    assert all((values is None) == (rank > 0) for values in found.values())
    found = {name: values for name, values in found.items() if values is not None}
    with run.state.cpu_local_snapshot as snapshot:
        own = len(snapshot.particles.tag)
    output = Path(folder, f"{model_name}-{simulation}-{rank}.npz")
    np.savez(output, fractions=classifier.fractions, own=own, **found)
