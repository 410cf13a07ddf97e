"""The operation that maps embeddings of simulated solids (figure 3a of the paper)."""

from pathlib import Path
from typing import Any

from hoomd_gala.files.atomic import write_table
from study.flow.jobs import ON_CPU, every, has, kind, operation, published, threads
from study.operations.assemblies import assemblies, solid_states
from study.operations.simulations import title


@operation(
    kind("embedding_map"),
    every("assembly", has("evidence.json")),
    post=has("embedding_map.csv", "embedding_map.png"),
    directives=ON_CPU,
    publishes=published("embedding_map.csv", "embedding_map.png"),
    of=assemblies,
)
def map_embeddings(job: Any) -> None:
    """Map embeddings of simulated solids by a model of unit cells, and score them."""
    import numpy as np
    import torch

    from hoomd_gala import Analyzer
    from study.comparison import descriptors, embedding_map
    from study.reports import embedding_map as report
    from study.solids import evidence

    torch.set_num_threads(threads(job))
    solids = []
    for assembly in assemblies(job):
        verdict = evidence.read(Path(assembly.fn("evidence.json")))["verdict"]
        name = title(assembly) if verdict == evidence.NOT_IDENTIFIED else verdict
        solids.append(embedding_map.solid(*solid_states(assembly), name))
    points = embedding_map.collect(
        solids,
        {
            "embedding": descriptors.embedding(Analyzer(job.sp.model)),
            "Steinhardt": descriptors.steinhardt,
            "Steinhardt, averaged": descriptors.averaged_steinhardt,
            "SOAP-like": descriptors.power_spectrum,
        },
        job.sp.n_bulk,
        job.sp.n_surface,
        np.random.default_rng(job.sp.seed),
    )
    rows = report.draw(Path(job.fn("embedding_map.png")), points, "embedding")
    write_table(Path(job.fn("points.csv")), rows)
    write_table(Path(job.fn("embedding_map.csv")), embedding_map.scores(points))
