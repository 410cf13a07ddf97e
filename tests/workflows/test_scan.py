"""The scan from end to end, on next to nothing."""

import matplotlib
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
    assert assembly["lowest cells"].startswith("cI2-W")
    assert 20 <= int(assembly["bulk particles"]) < int(assembly["particles"])
    # the order that all bonds have in common is less than that of single particles
    assert 0 < float(assembly["Q6"]) < float(assembly["q6"]) < 1
    header, _, line = (summary / "assemblies.md").read_text().splitlines()
    assert header.count("|") == line.count("|") == 8
    assert line.startswith("| OPP k=6.25 phi=0.62 | ")
    assert assembly["nearest cell"] in line
    lowest = {
        (row["k or epsilon"], row["cell"]) for row in read_table(summary / "lattice_energies.csv")
    }
    assert ("6.0", "cI2-W") in lowest
    for name in ("assemblies.png", "lattice_energies.png"):
        pixels(summary / name)
    cells = {row["cell"] for row in read_table(summary / "lattice_energies.csv")}
    check_colors(summary / "lattice_energies.png", map(structure_color, cells), least=1e-4)
    (job,) = [path.parent for path in (folder / "workspace").glob("*/evidence.json")]
    # found and ideal, and bright bonds on a dark disc
    check_colors(job / "evidence.png", ["C0", "C1"], least=1e-3)
    assert share(job / "evidence.png", matplotlib.colormaps["magma"](0.0)[:3], 0.1) > 1e-3
    course = read_table(job / "course.csv")
    assert [float(row["kT"]) for row in course][-1] == 0.4
    # a gas has condensed
    assert float(course[-1]["density"]) > 1.5 * float(course[0]["density"])
    code, output = run(folder, "status", "--study", "scan-smoke")
    assert code == 0, output
    assert "simulate_assembly" not in output
