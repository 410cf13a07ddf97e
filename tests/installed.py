"""Build the wheel and the sdist, install the wheel in an empty environment, and label a file there.

``make package`` runs this; what was built is left in ``dist``. It takes a few minutes, most of them
to install torch, whose version is that of the lock file.
"""

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: Writes a bcc crystal, without unit cells or anything else that only the checkout has.
CRYSTAL = """
import gsd.hoomd, numpy as np
from hoomd_gala.files import make_frame
from hoomd_gala.systems import make_system
import hoomd_gala
assert "site-packages" in hoomd_gala.__file__, hoomd_gala.__file__
grid = np.stack(np.meshgrid(*3 * [np.arange(6)], indexing="ij"), axis=-1).reshape(-1, 3)
positions = np.concatenate((grid, grid + 0.5)) + np.random.default_rng(1).normal(0, 0.03, (432, 3))
with gsd.hoomd.open("bcc.gsd", "w") as file:
    file.append(make_frame(make_system(positions, [6, 6, 6, 0, 0, 0]), 0))
"""

#: Reads the labels again.
LABELS = """
from hoomd_gala.files import frame_labels, read_frame
label, names = frame_labels(read_frame("labeled.gsd"))
assert (label == names.index("cI2-W")).all(), label
"""


def main() -> int:
    """Return the exit code; what fails says why."""
    torch = next(
        line
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if line.startswith("torch==")
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as folder:

        def run(*command: str | Path, **options: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                command, cwd=folder, env=environment | options, check=True, text=True
            )

        def new(name: str) -> Path:
            venv.create(Path(folder) / name, with_pip=True)
            return Path(folder) / name / "bin"

        tools = new("tools")
        run(tools / "pip", "install", "--quiet", "build", "hatchling")
        run(tools / "python", "-m", "build", "--no-isolation", "--outdir", ROOT / "dist", ROOT)
        wheel = max((ROOT / "dist").glob("*.whl"), key=lambda path: path.stat().st_mtime)
        user = new("user")
        run(user / "pip", "install", "--quiet", wheel, torch)
        command = [user / "hoomd-gala", "models"]
        listed = subprocess.check_output(command, env=environment, text=True)
        assert "structures-fast: 9" in listed
        assert "fcc (cF4-Cu)" in listed
        # all that is needed works; nothing else is there
        run(user / "hoomd-gala", "doctor")
        run(user / "python", "-c", CRYSTAL)
        run(user / "hoomd-gala", "label", "bcc.gsd", "labeled.gsd", "--model", "structures-fast")
        run(user / "python", "-c", LABELS)
        run(user / "python", "-c", "import hoomd_gala, pathlib; "
            "assert (pathlib.Path(hoomd_gala.__file__).parent / 'py.typed').is_file()")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
