"""What goes on for hours holds no more at the end than at the beginning."""

import importlib.util
import sys

import pytest
from benchmarks.long_runs import KINDS, growth

#: What each kind needs.
MODULES = {"HOOMD-blue": "hoomd", "OpenMM": "openmm"}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is that of /proc, which Linux has")
@pytest.mark.parametrize("kind", KINDS)
def test_memory_and_open_files_do_not_grow(kind, model_path):
    if kind in MODULES and importlib.util.find_spec(MODULES[kind]) is None:
        pytest.skip(f"{kind} is not installed")
    memory, files, _ = growth(kind, 250, 300, str(model_path))
    # a leak of what a frame takes would be 200 times 0.03 MB
    assert memory < 4
    assert files <= 0
