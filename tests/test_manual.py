"""README and the manual say what is there: links, commands, names, and code that runs."""

import argparse
import importlib.util
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gsd.hoomd
import numpy as np
import pytest

from hoomd_gala import _modules
from hoomd_gala.cli import main
from hoomd_gala.crystals import crystal, displace, unit_cell
from hoomd_gala.files import make_frame
from hoomd_gala.labeling import label_trajectory

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"

#: Everything that a reader may be sent to, but for what is made when the manual is built.
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
PAGES = [page for page in PAGES if "_generated" not in page.parts]

#: Pages whose commands are carried out; those of others are parsed. Tutorials run when the manual
#: is built.
COMMANDED = ("README.md", "quickstart.md", "ovito.md")

#: What command lines begin with.
PROGRAMS = ("hoomd-gala", "make", "pip", "pytest", "python", "tests/fuzz")

#: Modules that code and commands need, by a pattern in them; OVITO reads the files.
NEEDS = {
    r"(?<!gsd\.)\bhoomd\.|\bsim\.|\bclassifier\b": "hoomd",
    r"hoomd_gala\.openmm|simulation\.": "openmm",
    r"ovito|dump\.\*|old\.xyz": "ovito",
}


class Block(NamedTuple):
    """A fenced block of a page, and the line that it begins in."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in re.finditer(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        line = text[: found.start(2)].count("\n")
        yield Block(found[1].strip(), found[2], line)


def commands(block: Block) -> list[str]:
    """Command lines of a block; one without a language that begins with none is their output."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language not in ("console", "sh") and not (
        block.language == "" and lines and lines[0].split(" ")[0] in PROGRAMS
    ):
        return []
    return [line.removeprefix("$ ").strip() for line in lines]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def slug(heading: str) -> str:
    """Anchor of a heading, as GitHub and MyST make it."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for included in re.findall(r"^```\{include\} (\S+)", page.read_text(), re.MULTILINE):
        if "_generated" not in included:
            text += (page.parent / included).read_text()
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def all_commands() -> list[Any]:
    return [
        pytest.param(line, id=f"{name(page)}:{block.line}")
        for page in PAGES
        for block in blocks(page)
        for line in commands(block)
    ]


def test_readme_is_two_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) < 200


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```(?!\{include).*?^```$", "", page.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = page if not path else page.parent / path
        assert file.exists(), f"{name(page)}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{name(page)}: {target}"


class Parsed(BaseException):
    """The arguments of a command were understood, which is no error to be reported."""


@pytest.mark.parametrize("line", [p for p in all_commands() if "hoomd-gala" in p.values[0]])
def test_commands_are_understood(line, monkeypatch):
    parse = argparse.ArgumentParser.parse_args

    def stop(self, *arguments, **options):
        parse(self, *arguments, **options)
        raise Parsed

    if not line.startswith("hoomd-gala ") or "…" in line:
        return
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    arguments = shlex.split(line, comments=True)[1:]
    if arguments == ["--version"]:
        return
    with pytest.raises(Parsed):
        main(arguments)


@pytest.mark.parametrize("line", all_commands())
def test_files_and_targets_of_commands_exist(line):
    words = shlex.split(line, comments=True) or [""]
    if words[0] == "make":
        targets = re.findall(r"^(\.?\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert next(word for word in words[1:] if "=" not in word) in targets
    if words[0] in ("python", "python3") and words[1].endswith(".py"):
        assert (ROOT / words[1]).is_file()


def test_extras_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for page in PAGES:
        for extras in re.findall(r"(?:\.|hoomd-gala)\[([a-z,]+)\]", page.read_text()):
            assert set(extras.split(",")) <= set(project["optional-dependencies"]), name(page)


def test_every_structure_is_in_the_table(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    from structure_pages import rows

    from hoomd_gala.files.models import read_info

    for model in ("structures", "structures-fast"):
        info = read_info(model)
        table = rows(model)
        assert [one for one in info.class_names if one != "disordered"] == list(table)
        assert all("**" in row for row in table.values())
    assert "cP2-ClCs" in table["cI2-W"]
    assert "A15" in table["cP8-Cr3Si"]


def test_every_compound_is_in_the_table(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(DOCS))
    from structure_pages import write_compounds

    from hoomd_gala.files.models import read_info

    write_compounds(tmp_path)
    text = (tmp_path / "compounds.md").read_text()
    for one in read_info("compounds").given_names:
        assert one == "disordered" or f"| `{one}` |" in text
    assert "**rocksalt** | `cF8-ClNa` | 225 |" in text


def test_every_public_module_is_in_the_reference():
    text = "".join(page.read_text() for page in (DOCS / "api").glob("*.md"))
    for module in set(_modules.PUBLIC) - {"analyzer", "integrations"}:
        assert re.search(rf":: hoomd_gala\.{module}\b", text), module
    for one in ("Analyzer", "Classifier", "Result", "InputError"):
        assert f":: hoomd_gala.{one}\n" in text


# --- code


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with the files that pages speak of."""
    monkeypatch.chdir(tmp_path)
    cell = crystal(unit_cell("bcc"), 250)
    rng = np.random.default_rng(1)
    with gsd.hoomd.open("run.gsd", "w") as trajectory:
        for step, noise in ((0, 0.02), (1000, 0.05), (2000, 0.3)):
            frame = make_frame(displace(cell, noise, rng), step, ["A"])
            trajectory.append(frame)
    yield tmp_path
    if "ovito" in sys.modules:
        # other tests in this process see the same scene
        import ovito

        for pipeline in list(ovito.scene.pipelines):
            pipeline.remove_from_scene()
        for viewport in ovito.scene.viewports:
            viewport.overlays.clear()


def missing(text: str) -> list[str]:
    """Modules that are needed and not there."""
    needed = [module for word, module in NEEDS.items() if re.search(word, text, re.MULTILINE)]
    return [module for module in needed if importlib.util.find_spec(module) is None]


def others(text: str) -> None:
    """Write files that a page speaks of, if it does."""
    if "hoomd-gala view run.gsd" in text:
        label_trajectory("run.gsd", "logged.gsd", "structures-fast", keep_types=True)
        shutil.move("logged.gsd", "run.gsd")
    if "dump.*" in text and not missing("dump.*"):
        label_trajectory("run.gsd", "dump.0.lammpstrj", "structures-fast")
        shutil.move("dump.0.lammpstrj", "dump.0")
    if "old.xyz" in text:
        label_trajectory("run.gsd", "old.xyz", "structures-fast")
    if 'with open_trajectory("labeled.gsd")' in text:
        label_trajectory("run.gsd", "labeled.gsd", "structures-fast")


def values(text: str) -> dict[str, Any]:
    """What the code of a page takes for granted."""
    with gsd.hoomd.open("run.gsd") as trajectory:
        frame = trajectory[0]
    given = {
        "frame": frame,
        "positions": frame.particles.position,
        "box": frame.configuration.box,
    }
    if "sim." in text and not missing("sim."):
        given["sim"] = hoomd_simulation()
    if "simulation.reporters" in text and not missing("simulation."):
        given["simulation"] = openmm_simulation()
    return given


def hoomd_simulation() -> Any:
    """A cold Lennard-Jones crystal."""
    import hoomd

    system = crystal(unit_cell("fcc"), 250)
    snapshot = hoomd.Snapshot()
    snapshot.configuration.box = system.box
    snapshot.particles.N = len(system.positions)
    snapshot.particles.types = ["A"]
    snapshot.particles.position[:] = make_frame(system, 0).particles.position
    sim = hoomd.Simulation(hoomd.device.CPU(), seed=1)
    sim.create_state_from_snapshot(snapshot)
    lj = hoomd.md.pair.LJ(hoomd.md.nlist.Cell(buffer=0.4), default_r_cut=2.0)
    lj.params[("A", "A")] = {"epsilon": 1.0, "sigma": 2 ** (-1 / 6)}
    langevin = hoomd.md.methods.Langevin(hoomd.filter.All(), kT=0.1)
    sim.operations.integrator = hoomd.md.Integrator(dt=0.005, methods=[langevin], forces=[lj])
    return sim


def openmm_simulation() -> Any:
    """A cold Lennard-Jones crystal."""
    import openmm
    from openmm import app, unit

    system = crystal(unit_cell("fcc"), 250)
    n, edge = len(system.positions), float(system.box[0])
    topology = app.Topology()
    chain = topology.addChain()
    for _ in range(n):
        topology.addAtom("A", None, topology.addResidue("A", chain))
    model = openmm.System()
    model.setDefaultPeriodicBoxVectors((edge, 0, 0), (0, edge, 0), (0, 0, edge))
    force = openmm.CustomNonbondedForce("r^-12 - 2*r^-6")
    force.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    force.setCutoffDistance(2.0)
    for _ in range(n):
        model.addParticle(1.0)
        force.addParticle([])
    model.addForce(force)
    integrator = openmm.LangevinMiddleIntegrator(0.1 / 0.00831446, 1, 0.005)
    platform = openmm.Platform.getPlatformByName("CPU")
    simulation = app.Simulation(topology, model, integrator, platform, {"Threads": "1"})
    simulation.context.setPositions((system.positions + edge / 2) * unit.nanometer)
    return simulation


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        page
        for page in PAGES
        if page.parent.name != "tutorials"
        and any(
            block.language == "python" or (page.name in COMMANDED and commands(block))
            for block in blocks(page)
        )
    ],
    ids=name,
)
def test_code_runs(page, desk, capsys):
    text = "".join(block.text for block in blocks(page))
    others(text)
    known = values(text)
    left_out = set()
    for block in blocks(page):
        if block.language == "python":
            left_out |= {*missing(block.text)}
            if not missing(block.text):
                # line numbers are those of the page
                code = compile("\n" * block.line + block.text, name(page), "exec")
                exec(code, known)
        elif page.name in COMMANDED:
            for line in commands(block):
                left_out |= {*missing(line)}
                if line.startswith("hoomd-gala ") and not missing(line):
                    assert main(shlex.split(line, comments=True)[1:]) == 0, line
    if left_out:
        pytest.skip(
            f"without {' and '.join(sorted(left_out))}, some code of {name(page)} did not run"
        )
