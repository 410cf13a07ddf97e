"""Tests that did not run: how many there are, why, and whether that is allowed.

These are hooks of pytest, which ``conftest.py`` takes in. A module that is skipped as a whole is a
single skip to pytest; here it counts as the tests that it holds.

``HOOMD_GALA_REQUIRE=hoomd,mpi4py`` names packages whose tests have to run: where one of these is
not installed, the tests that need it fail.
"""

import ast
import os
import re
from collections import Counter
from pathlib import Path

import pytest

#: Names packages, separated by commas, that have to be there.
REQUIRE = "HOOMD_GALA_REQUIRE"


def is_required(reason: str) -> bool:
    """Whether a skip is for want of a package that is required.

    Such reasons read "NAME is not installed", with a name that begins with the package's.
    """
    packages = filter(None, os.environ.get(REQUIRE, "").split(","))
    return any(
        re.match(rf"{re.escape(package)}\b.* is not installed", reason, re.IGNORECASE)
        for package in packages
    )


def skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test or a module was skipped."""
    return str(report.longrepr[2]).removeprefix("Skipped: ")


def _elements(values: ast.expr, constants: dict[str, ast.expr]) -> int:
    """How many values a parametrization goes through; 1 where only running it would tell."""
    if isinstance(values, ast.Name) and values.id in constants:
        values = constants[values.id]
    if isinstance(values, ast.List | ast.Tuple | ast.Set):
        return len(values.elts)
    if isinstance(values, ast.Dict):
        return len(values.keys)
    if isinstance(values, ast.Call) and ast.unparse(values.func) == "range":
        try:
            return len(range(*map(ast.literal_eval, values.args)))
        except ValueError:
            return 1
    return 1


def count_tests(path: str | os.PathLike[str]) -> int:
    """Tests in a module, which is read and not imported.

    Parametrizations over lists that are written out count, also those with a name.
    """
    tree = ast.parse(Path(path).read_text())
    constants = {
        target.id: statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }

    def count(statements: list[ast.stmt]) -> int:
        total = 0
        for statement in statements:
            if isinstance(statement, ast.ClassDef) and statement.name.startswith("Test"):
                inside = count(statement.body)
            elif isinstance(statement, ast.FunctionDef) and statement.name.startswith("test"):
                inside = 1
            else:
                continue
            for decorator in statement.decorator_list:
                if isinstance(decorator, ast.Call) and len(decorator.args) > 1:
                    is_list = ast.unparse(decorator.func) == "pytest.mark.parametrize"
                    inside *= _elements(decorator.args[1], constants) if is_list else 1
            total += inside
        return total

    return count(tree.body)


def _fail_if_required(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = skip_reason(report)
        if is_required(reason):
            report.outcome = "failed"
            report.longrepr = f"{reason}, but {REQUIRE}={os.environ[REQUIRE]}"


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    _fail_if_required(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    _fail_if_required(report)
    return report


def pytest_terminal_summary(terminalreporter):
    """List what was not tested."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        whole_module = isinstance(report, pytest.CollectReport)
        path = terminalreporter.config.rootpath / report.fspath
        counts[skip_reason(report)] += count_tests(path) if whole_module else 1
    deselected = len(terminalreporter.stats.get("deselected", []))
    if counts:
        total = counts.total()
        terminalreporter.write_sep("=", f"{total} test{'s' * (total > 1)} did not run")
        for reason, n in sorted(counts.items()):
            terminalreporter.write_line(f"{n:4} x {reason}")
    else:
        terminalreporter.write_line("no test was skipped")
    if deselected:
        terminalreporter.write_line(f"left out on request (-m, -k): {deselected}")
