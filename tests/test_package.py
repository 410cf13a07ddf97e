"""What ``import hoomd_gala`` provides, what it loads, and which module may import which."""

import ast
import importlib.util
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from lowest_versions import ROOT, declared

import hoomd_gala
from hoomd_gala import _modules

PACKAGE = Path(hoomd_gala.__file__).parent

#: Modules and packages of the library, each of which imports from its own and earlier lines only.
ORDER = (
    {"errors"},
    {
        "names",
        "results",
        "schema",
        "colors",
        "doubts",
        "systems_from",
        "systems",
        "threads",
        "compiling",
        "_modules",
    },
    {"selection"},
    {"neighbors"},
    {"networks"},
    {"files", "crystals"},
    {"embedding", "decision", "denoising"},
    {"learning", "plotting"},
    {"analyzer", "benchmark", "clusters", "copying", "denoised_copies", "labeling", "sampling"},
    {"integrations"},
    {"cli"},
)


def imports(path):
    """Modules of the package that a file imports at any place, as (dotted name, line)."""
    package = ("hoomd_gala", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            start = ".".join(filter(None, (base, node.module)))
            found = [start, *(f"{start}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from ((name, node.lineno) for name in found if name.split(".")[0] == "hoomd_gala")


def modules():
    """Paths of all modules by dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("hoomd_gala", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def test_packages_import_one_way():
    rank = {name: i for i, names in enumerate(ORDER) for name in names}
    wrong = []
    for name, path in modules().items():
        if name == "hoomd_gala" or name.endswith("__main__"):
            continue
        own = rank[name.split(".")[1]]
        for other, line in imports(path):
            part = other.partition(".")[2].split(".")[0]
            if rank.get(part, -1) > own:
                wrong.append(f"{name}, line {line}: {other}")
    assert not wrong


def test_there_are_no_import_cycles():
    known = modules()
    edges = {}
    for name, path in known.items():
        targets = {other for other, _ in imports(path) if other in known}
        # a package's __init__ runs before its modules, which may import each other
        edges[name] = {t for t in targets if t != name and not name.startswith(f"{t}.")}
    done, open_ = set(), []

    def visit(name):
        if name in open_:
            pytest.fail(" -> ".join([*open_[open_.index(name) :], name]))
        if name not in done:
            open_.append(name)
            for other in sorted(edges[name]):
                visit(other)
            open_.pop()
            done.add(name)

    for name in edges:
        visit(name)


def test_the_library_does_not_know_the_workflow():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            assert not {name.split(".")[0] for name in names} & {"workflows", "study", "project"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_files_are_short_enough_to_read(path):
    if "kernels" not in path.parts:
        assert len(path.read_text().splitlines()) <= 600


def run(code):
    """What Python prints that has imported the package and nothing else."""
    command = [sys.executable, "-c", f"import sys, hoomd_gala; {code}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


#: Public modules that need nothing but the package's own dependencies.
MODULES = sorted(set(_modules.PUBLIC) - {"openmm", "ovito", "triggers"})


@pytest.mark.parametrize("name", MODULES)
def test_public_modules_are_reachable(name):
    assert getattr(hoomd_gala, name).__name__ == f"hoomd_gala.{name}"


#: What modules of version 0.1 held that scripts and examples imported, and the public rest of it.
OLD_NAMES = {
    "datasets": "Frames join take crystal_frames cell_frames parse_range trajectory_frames",
    "environments": "N_NEIGHBORS PeriodicTree nearest_neighbors mean_bond_length scale_bonds "
    "shortest_distance",
    "few_shot": "Labeled few_shot fit_logistic few_temperature held_out_logits",
    "fitting": "Fit fit machine",
    "models": "Model ModelInfo UNKNOWN_BELOW card_page find_model load_model pick_device "
    "save_model sha256 shipped_models source_card write_card",
    "plots": "draw_curve draw_curves draw_names draw_values new_figure save_figure",
    "structures": "UnitCell crystal displace droplet strain unit_cell unit_cells",
    "tasks": "TASKS",
    "training": "Training TrainingConfig evaluate seeded split train",
    "trajectories": "NAMESPACE add_labels append_frame count_recoverable_frames decode_strings "
    "encode_strings fill frame_labels last_system make_frame open_trajectory read_frame recover "
    "restore_types trim",
}


@pytest.fixture(scope="module")
def deprecations():
    """What Python warns of that imports every old name: file, line and message by module."""
    code = f"""
import json, warnings
found = {{}}
for name, imported in {OLD_NAMES}.items():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        exec('\\n' + f'from hoomd_gala.{{name}} import {{", ".join(imported.split())}}')
    found[name] = [(w.filename, w.lineno, str(w.message)) for w in caught
                   if w.category is DeprecationWarning and 'hoomd_gala' in str(w.message)]
print(json.dumps(found))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", OLD_NAMES)
def test_old_names_work_and_say_where_things_are_now(name, deprecations):
    (filename, line, message), *_ = deprecations[name]
    # the importing line is blamed, the second of what is executed
    assert (filename, line) == ("<string>", 2)
    assert message.startswith(f"hoomd_gala.{name} is deprecated")
    assert f"hoomd_gala.{_modules.MOVED[name][0]}" in message


def test_old_names_are_those_of_the_new_modules():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from hoomd_gala import structures, trajectories
    from hoomd_gala.crystals import crystal
    from hoomd_gala.files import recover

    assert structures.crystal is crystal
    assert trajectories.recover is recover
    assert structures.__name__ == "hoomd_gala.structures"
    with pytest.raises(AttributeError, match=r"'hoomd_gala.structures' has no attribute 'none'"):
        _ = structures.none


def test_functions_that_messages_name_are_there():
    assert callable(hoomd_gala.files.trim)
    assert callable(hoomd_gala.files.recover)
    assert callable(hoomd_gala.files.read_frame)


def test_dir_lists_classes_and_modules_without_loading_torch():
    names = run("print(*dir(hoomd_gala)); assert 'torch' not in sys.modules").split()
    assert {"Analyzer", "InputError", "Result", *MODULES} <= set(names)
    for name, engine in {"Classifier": "hoomd", "openmm": "openmm", "ovito": "ovito"}.items():
        assert (name in names) == (importlib.util.find_spec(engine) is not None)


def test_help_on_the_package_needs_no_engine():
    shown = run(
        "import pydoc; sys.modules.update(dict.fromkeys(['hoomd', 'openmm', 'ovito']));"
        "print(pydoc.plain(pydoc.render_doc(hoomd_gala)))"
    )
    assert "analyze(self, positions" in shown
    assert 'hoomd_gala.Analyzer("structures").analyze(positions, box)' in shown


def test_files_and_systems_come_without_torch():
    touched = "hoomd_gala.files.trim, hoomd_gala.systems.as_system, hoomd_gala.results.Fractions"
    run(f"{touched}; assert 'torch' not in sys.modules")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--help"], 0),
        (["train", "--help"], 0),
        (["label"], 2),
        (["train", "--task", "none", "--output", "x"], 2),
        (["plot", "embedding", "--output", "x.gif"], 2),
    ],
)
def test_help_and_wrong_arguments_load_nothing_heavy(arguments, status):
    code = (
        "import sys\n"
        "from hoomd_gala.cli import main\n"
        "try: code = main(sys.argv[1:])\n"
        "except SystemExit as done: code = done.code\n"
        "print(code, *{'torch', 'numba', 'scipy', 'matplotlib'} & set(sys.modules), end='')"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1].endswith(str(status)), done.stderr


def test_unknown_names_are_unknown():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hoomd_gala.nothing


#: Packages by their names on conda-forge, where these are others.
ON_CONDA = {"pytorch": "torch", "matplotlib-base": "matplotlib", "freud": "freud-analysis"}


def test_both_ways_to_install_declare_the_same_lowest_versions():
    text = (ROOT / "environment.yml").read_text()
    conda = dict(re.findall(r"- ([\w-]+) >=([\d.]+)", text))
    assert conda.pop("python") == "3.11"
    conda.pop("hoomd")
    pip = declared()
    assert conda == {name: pip[ON_CONDA.get(name, name)] for name in conda}
