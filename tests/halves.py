"""All tests, in two processes at once; arguments are passed on to pytest.

Most tests use one core. ``make test`` runs this; ``pytest`` alone does the same, one after another.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: What the first process runs, which takes about as long as all the rest.
FIRST = ("tests/workflows", "tests/cli", "tests/plotting", "tests/test_examples.py")


def commands(arguments: list[str]) -> list[list[str]]:
    """Return the commands of both processes."""
    pytest = [sys.executable, "-m", "pytest"]
    rest = [f"--ignore={path}" for path in FIRST]
    return [[*pytest, *FIRST, *arguments], [*pytest, "tests", *rest, *arguments]]


def main() -> int:
    """Show the output of one process while it runs and that of the other when it has ended."""
    first, second = commands(sys.argv[1:])
    with tempfile.TemporaryFile("w+") as output:
        beside = subprocess.Popen(second, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        try:
            code = subprocess.run(first, cwd=ROOT, check=False).returncode
            print("\nThe other half of the tests:", flush=True)
            code = beside.wait() or code
        except KeyboardInterrupt:
            beside.wait()
            code = 130
        output.seek(0)
        print(output.read())
    return code


if __name__ == "__main__":
    sys.exit(main())
