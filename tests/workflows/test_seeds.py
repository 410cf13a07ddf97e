"""Numbers that depend on the seed stand beside how much they vary with it."""

import numpy as np
import pytest
import signac
from study.comparison import seeds
from study.flow import jobs, studies
from study.operations import simulations
from study.reports import assemblies, summary

from hoomd_gala.files.atomic import read_table, write_table

SMOKE = (studies.FOLDER / "smoke.toml").read_text()

#: Lennard-Jones of the smoke study, where two more seeds and a slower run are added.
MORE = "".join(
    f'\n[[systems]]\npotential = "ljg"\nepsilon = 0.0\nr0 = 1.0\n{line}\n'
    for line in ("seed = 7", "seed = 8", "cooling_steps = 9000")
)


@pytest.fixture
def systems(tmp_path, monkeypatch):
    """Jobs of the systems of a study, with tables such as their simulations would leave."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "mine.toml").write_text(SMOKE + MORE)
    monkeypatch.setattr(studies, "FOLDER", tmp_path / "studies")
    monkeypatch.setattr(jobs, "FOLDER", tmp_path)
    project = signac.init_project(tmp_path)
    made = [project.open_job(point).init() for point in studies.state_points("mine")]
    found = [job for job in made if job.sp.kind == "system"]
    for job in found:
        job.doc.simulation = {"engine": "OpenMM", "version": "8", "device": "CPU", "seconds": 1.0}
        share = job.sp.seed / 10
        row = {"timestep": 1, "kT": 1, "energy": -1, "cF4-Cu": share, "unknown": 1 - share}
        write_table(job.fn("structures.csv"), [row])
        phases = {"measure": "PTM", "condensation, kT": "", "freezing, kT": share}
        if job.sp.seed != 8:
            write_table(job.fn("phases.csv"), [phases])
        particles = 20 if job.sp.potential == "opp" else 100
        write_table(
            job.fn("checks.csv"), [{"check": "all", "particles": particles, "agreement": share}]
        )
    return found


def test_what_differs_in_the_seed_only_has_one_name(systems):
    alike = {}
    for job in systems:
        alike.setdefault(simulations.system_of(job), []).append(job.sp.seed)
    assert {name: sorted(found) for name, found in alike.items()} == {
        "OPP k=6.25 phi=0.62": [2],
        "Lennard-Jones cooling_steps=4000": [2, 7, 8],
        "Lennard-Jones cooling_steps=9000": [2],
    }
    assert len({simulations.name_of(job) for job in systems}) == 5


def test_a_summary_has_means_and_deviations_over_seeds(systems, tmp_path):
    text = summary.write(
        systems,
        tmp_path,
        {job.id: simulations.name_of(job) for job in systems},
        {job.id: simulations.system_of(job) for job in systems},
    )
    several, opp = "Lennard-Jones cooling_steps=4000", "OPP k=6.25 phi=0.62"
    rows = read_table(tmp_path / "fractions.csv")
    (row,) = [it for it in rows if (it["system"], it["structure"]) == (several, "fcc (cF4-Cu)")]
    deviation = np.std([0.2, 0.7, 0.8], ddof=1)
    assert float(row["fraction at the end"]) == pytest.approx(np.mean([0.2, 0.7, 0.8]), abs=1e-3)
    assert float(row["standard deviation"]) == pytest.approx(deviation, abs=1e-3)
    assert row["seeds"] == "3"
    assert f"| {several} | fcc (cF4-Cu) | 0.567 ± 0.321 (3 seeds) |" in text
    assert f"| {opp} | fcc (cF4-Cu) | 0.200 (one seed) |" in text
    assert f"| {several} | all | 300 | 0.567 ± 0.321 (3 seeds) |" in text
    assert f"| {opp} | all | 20 | 4 of 20: too few to tell (one seed) |" in text
    # a seed that does not freeze has no temperature
    assert f"| {several} | PTM | freezing | 0.450 ± 0.354 (2 seeds) |" in text
    assert "condensation |" not in text
    # what does not depend on the seed stands there once for each simulation
    assert len(read_table(tmp_path / "simulations.csv")) == 5


def test_seeds_with_few_particles_do_not_count_beside_others():
    assert summary.agreement([0.0, 0.5, 0.7], [3, 100, 300]) == {
        "particles": 400, "agreement": "0.600", "standard deviation": "0.141", "seeds": 2,
    }  # fmt: skip
    few = summary.agreement([0.0, 0.5], [3, 4])
    assert few["agreement"] == "2 of 7: too few to tell"
    assert (few["standard deviation"], few["seeds"]) == ("", 2)


def evidence(verdict, kT):
    return dict.fromkeys(
        ("bulk particles", "energy of the bulk", "distance", "PTM, close-packed",
         "condensation, kT", "fourfold", "sixfold", "tenfold", "twelvefold"), 1.0,
    ) | {"verdict": verdict, "freezing, kT": kT}  # fmt: skip


def test_assemblies_are_put_together_over_seeds():
    found = [evidence("cF4-Cu", 0.4), evidence("hP2-Mg", 0.5), evidence("cF4-Cu", 0.6)]
    row = seeds.assembly("Lennard-Jones", found)
    assert row["seeds"] == 3
    assert row["identified as"] == "cF4-Cu (2), hP2-Mg (1)"
    assert (row["freezing, kT"], row["freezing, kT, standard deviation"]) == ("0.500", "0.100")
    one = seeds.assembly("OPP", found[:1])
    assert (one["freezing, kT"], one["freezing, kT, standard deviation"]) == ("0.400", "")
    text = assemblies.over_seeds([row, one])
    assert "| Lennard-Jones | 3 | cF4-Cu (2), hP2-Mg (1) | 1.000 ± 0.000 | 0.500 ± 0.100 |" in text
    assert "OPP" not in text
    assert "One seed of each system" in assemblies.over_seeds([one])
