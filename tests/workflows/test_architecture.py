"""How the workflow's modules import each other, and how fast its command line starts."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

WORKFLOWS = Path(__file__).parents[2] / "workflows"
STUDY = WORKFLOWS / "study"

#: The packages in the order of study's docstring.
ORDER = re.findall(
    r"^``(\w+)``$", ast.get_docstring(ast.parse((STUDY / "__init__.py").read_text())), re.M
)


def imports(path):
    """Modules of the study that a module imports, at its head or in a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "study":
            assert node.level == 0
            for alias in node.names:
                inner = STUDY.parent.joinpath(*node.module.split("."), f"{alias.name}.py")
                found.add(f"{node.module}.{alias.name}" if inner.is_file() else node.module)
        elif isinstance(node, ast.Import):
            found |= {it.name for it in node.names if it.name.partition(".")[0] == "study"}
    return found


@pytest.fixture(scope="module")
def graph():
    """For each module of the study those that it imports."""
    return {
        ".".join(path.relative_to(WORKFLOWS).with_suffix("").parts): imports(path)
        for path in STUDY.rglob("*.py")
        if path.name != "__init__.py"
    }


def test_every_package_is_in_the_order():
    assert sorted(ORDER) == sorted(path.parent.name for path in STUDY.glob("*/__init__.py"))


def test_packages_import_one_way(graph):
    for module, imported in graph.items():
        own = ORDER.index(module.split(".")[1])
        for other in imported:
            assert ORDER.index(other.split(".")[1]) <= own, f"{module} imports {other}"


def test_no_modules_import_each_other(graph):
    left = dict(graph)
    while free := [module for module, imported in left.items() if not imported & set(left)]:
        for module in free:
            del left[module]
    assert not left, f"cycle among {sorted(left)}"


def test_modules_are_of_a_size_to_be_read():
    for path in WORKFLOWS.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 600, path


def test_command_line_starts_without_what_only_operations_need():
    heavy = (
        "torch",
        "matplotlib",
        "sklearn",
        "scipy",
        "ovito",
        "freud",
        "openmm",
        "hoomd",
        "numba",
    )
    code = f"import sys, project; print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=WORKFLOWS, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
