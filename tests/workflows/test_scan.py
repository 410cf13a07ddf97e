"""The scan from end to end, on next to nothing."""

import matplotlib
import pytest
from pictures import check_colors, pixels, share
from test_workflow import fresh_copy, run

from hoomd_gala.colors import structure_color
from hoomd_gala.files.atomic import read_table


def test_a_scan_simulates_identifies_and_tabulates(tmp_path):
    folder = fresh_copy(tmp_path / "workflows")
    code, output = run(folder, "run", "--study", "scan-smoke")
    assert code == 0, output
    summary = folder / "summary" / "scan-smoke"
    (assembly,) = read_table(summary / "assemblies.csv")
    assert assembly["system"] == "OPP k=6.25 phi=0.62"
    assert assembly["lowest cells"].startswith("cI2-W -7.37, ")
    assert assembly["verdict"] == "not identified"
    # a droplet of liquid is above the crystal, and far below a gas
    assert -7.37 < float(assembly["energy of the bulk"]) < -5
    assert 0.9 > float(assembly["condensation, kT"]) > float(assembly["freezing, kT"]) > 0.4
    assert 20 <= int(assembly["bulk particles"]) < int(assembly["particles"])
    # the order that all bonds have in common is less than that of single particles
    assert 0 < float(assembly["Q6"]) < float(assembly["q6"]) < 1
    header, _, line, _, over_seeds = (summary / "assemblies.md").read_text().splitlines()
    assert header.count("|") == line.count("|") == 8
    assert line.startswith("| OPP k=6.25 phi=0.62 | ")
    assert assembly["nearest cell"] in line
    assert over_seeds.startswith("One seed of each system")
    (together,) = read_table(summary / "assemblies-seeds.csv")
    assert together["seeds"] == "1"
    assert float(together["freezing, kT"]) == pytest.approx(
        float(assembly["freezing, kT"]), abs=6e-4
    )
    assert together["freezing, kT, standard deviation"] == ""
    lowest = read_table(summary / "lattice_energies.csv")
    assert [(row["potential"], row["k or epsilon"], row["phi or r0"]) for row in lowest] == [
        ("opp", "6.0", "0.5"), ("opp", "7.0", "0.5"), ("ljg", "0.0", "1.0"),
    ]  # fmt: skip
    assert [row["cell"] for row in lowest] == ["cI2-W", "cP8-Cr3Si", "hP2-Mg"]
    energies = [float(row["energy"]) for row in lowest]
    assert energies == pytest.approx([-7.435, -7.339, -8.162], abs=2e-3)
    # hexagonal and cubic close packing differ by a thousandth
    assert [float(row["above"]) > 0.02 for row in lowest] == [True, True, False]
    for name in ("assemblies.png", "lattice_energies.png"):
        pixels(summary / name)
    cells = {row["cell"] for row in read_table(summary / "lattice_energies.csv")}
    check_colors(summary / "lattice_energies.png", map(structure_color, cells), least=1e-4)
    (job,) = [path.parent for path in (folder / "workspace").glob("*/evidence.json")]
    # found and ideal, and bright bonds on a dark disc
    check_colors(job / "evidence.png", ["C0", "C1"], least=1e-3)
    assert share(job / "evidence.png", matplotlib.colormaps["magma"](0.0)[:3], 0.1) > 1e-3
    course = read_table(job / "course.csv")
    # held for 500 timesteps, then cooled from 0.9 to 0.4 over 9500
    for row in course:
        expected = 0.9 - 0.5 * (int(row["timestep"]) - 500) / 9500
        assert float(row["kT"]) == pytest.approx(expected)
    assert [int(row["timestep"]) for row in course] == list(range(1000, 10001, 1000))
    # a gas has condensed
    assert float(course[-1]["density"]) > 2 * float(course[0]["density"])
    assert float(course[-1]["energy"]) < 2 * float(course[0]["energy"]) < 0
    code, output = run(folder, "status", "--study", "scan-smoke")
    assert code == 0, output
    assert "simulate_assembly" not in output
