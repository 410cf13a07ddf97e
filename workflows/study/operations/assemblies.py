"""Operations on assemblies: systems of a potential that are cooled to see what they form."""

from pathlib import Path
from typing import Any

from hoomd_gala.files.atomic import write_table
from study.flow.jobs import (
    ON_CPU,
    TRAJECTORY,
    every,
    find_file,
    has,
    kind,
    of_kind,
    operation,
    published,
    simulated,
)
from study.operations.simulations import name_of, run_simulation, system_of, title

#: Local environments of unit cells, in the study's job of kind "reference".
SITES = "sites.npz"

#: What all assemblies are, one by one, and those together that differ in the seed only.
_TABLES = ("assemblies.csv", "assemblies-seeds.csv", "assemblies.png", "assemblies.md")


def assemblies(job: Any) -> list[Any]:
    """Return the study's assemblies."""
    return of_kind(job, "assembly")


def reference_sites(job: Any) -> Path | None:
    """Path of the reference environments of a study, or None while there are none."""
    return find_file(job, "reference", SITES)


def has_reference(job: Any) -> bool:
    """Condition: the local environments of unit cells are there to compare with."""
    return reference_sites(job) is not None


def solid_states(job: Any) -> tuple[Any, Any]:
    """Return the last frame of an assembly and its inherent structure."""
    from hoomd_gala.files.trajectories import last_system

    return last_system(job.fn(TRAJECTORY)), last_system(job.fn("solid.gsd"))


@operation(kind("assembly"), post=simulated)
def simulate_assembly(job: Any) -> None:
    """Cool a system from gas to solid, without labels."""
    run_simulation(job, model=None)


@operation(kind("reference"), post=has(SITES), directives=ON_CPU)
def collect_reference(job: Any) -> None:
    """Describe the local environments of unit cells, to compare solids with."""
    from study.solids import identification

    identification.write_sites(
        Path(job.fn(SITES)), identification.collect_sites(job.sp.get("cells"))
    )


def has_grid(job: Any) -> bool:
    """Condition: the study maps lattice energies over a grid of parameters."""
    return job.sp.kind == "reference" and "k" in job.sp


@operation(
    has_grid,
    post=has("lattice_energies.csv", "lattice_energies.png"),
    directives=ON_CPU,
    publishes=published("lattice_energies.csv", "lattice_energies.png"),
)
def map_lattice_energies(job: Any) -> None:
    """Map which unit cells have the lowest energy over parameters of both potentials."""
    import numpy as np

    from study.reports import lattice_energies as report
    from study.solids import lattice_energies

    k, phi, r0 = (np.arange(*job.sp[key]).round(6).tolist() for key in ("k", "phi", "r0"))
    points = list(lattice_energies.grid(k, phi, list(job.sp.epsilon), r0))
    rows = lattice_energies.map_grid(points)
    write_table(Path(job.fn("lattice_energies.csv")), rows)
    report.draw_grid(Path(job.fn("lattice_energies.png")), rows)


@operation(
    kind("assembly"),
    simulated,
    has_reference,
    post=has("evidence.json", "evidence.png", "solid.gsd"),
    directives=ON_CPU,
)
def identify(job: Any) -> None:
    """Identify what an assembly formed, by methods without learning, and draw the evidence."""
    import gsd.hoomd
    import numpy as np

    from hoomd_gala.files.atomic import replacing
    from hoomd_gala.files.trajectories import last_system, make_frame
    from study.reports import evidence as report
    from study.simulation import protocol
    from study.solids import changes, cooling, evidence, identification

    steps = protocol.Protocol.of(job.sp)
    trajectory = Path(job.fn(TRAJECTORY))
    known = reference_sites(job)
    assert known is not None
    found = evidence.gather(
        last_system(trajectory),
        protocol.pair_potential(job.sp),
        identification.read_sites(known),
        np.random.default_rng(steps.seed),
    )
    rows = cooling.course(trajectory, steps)
    write_table(Path(job.fn("course.csv")), rows)
    with replacing(job.fn("solid.gsd")) as part, gsd.hoomd.open(part, "w") as file:
        file.append(make_frame(found.solid, steps.total_steps))
    liquid, frozen = (rows[i] for i in changes.course_changes(rows))
    numbers = evidence.row(found) | {
        "condensation, kT": round(liquid["kT"], 4),
        "freezing, kT": round(frozen["kT"], 4),
    }
    report.draw(Path(job.fn("evidence.png")), title(job), found, rows, numbers["verdict"])
    evidence.write(Path(job.fn("evidence.json")), numbers)


def tables(job: Any) -> list[tuple[Path, Path]]:
    """Files that go to the summary: the tables, and the evidence of each assembly."""
    found = published(*_TABLES)(job)
    for other in assemblies(job):
        found += published("evidence.png", "course.csv", under=name_of)(other)
    return found


@operation(
    kind("reference"),
    every("assembly", has("evidence.json")),
    post=has(*_TABLES),
    directives=ON_CPU,
    publishes=tables,
    of=assemblies,
)
def tabulate_assemblies(job: Any) -> None:
    """Put all assemblies, their parameters and the evidence into one table and one picture.

    The table also has the labels of the shipped model for the same particles while still warm.
    """
    from hoomd_gala.files.atomic import replacing
    from study.comparison import seeds, shipped_labels
    from study.reports import assemblies as table
    from study.reports import evidence as report
    from study.simulation import protocol
    from study.solids import evidence

    rows, shown = [], []
    alike: dict[str, list[dict[str, Any]]] = {}
    for other in sorted(assemblies(job), key=title):
        numbers = evidence.read(Path(other.fn("evidence.json")))
        view = numbers.pop("view")
        alike.setdefault(system_of(other), []).append(numbers)
        warm, solid = solid_states(other)
        labels = shipped_labels.label(warm)
        shown.append(report.Shown(f"{title(other)}: {numbers['verdict']}", solid, labels, view))
        steps = protocol.Protocol.of(other.sp)
        ran = other.doc.simulation
        rows.append(
            {
                "system": title(other),
                "name": other.sp.get("name", ""),
                "particles": steps.n_particles,
                "number density": steps.number_density,
                "kT": f"{steps.gas_kT}, {steps.start_kT} to {steps.end_kT}",
                "timesteps": steps.total_steps,
                "dt": steps.dt,
                "seed": steps.seed,
                "engine": f"{ran['engine']} {ran['version']}",
            }
            | numbers
            | shipped_labels.of_bulk(labels, solid)
        )
    report.draw_overview(Path(job.fn("assemblies.png")), shown)
    write_table(Path(job.fn("assemblies.csv")), rows)
    over_seeds = [seeds.assembly(system, same) for system, same in alike.items()]
    write_table(Path(job.fn("assemblies-seeds.csv")), over_seeds)
    with replacing(job.fn("assemblies.md")) as part:
        part.write_text(f"{table.table(rows)}\n{table.over_seeds(over_seeds)}")
