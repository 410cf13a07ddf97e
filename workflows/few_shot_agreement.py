"""How well few-shot models agree with a model that knows the structures.

``python few_shot_agreement.py run.gsd [more.gsd]`` takes the last frame of each trajectory, learns
from 20 particles of each structure that ``structures`` names there, ten times, and compares the
result with ``structures`` on all other particles.
"""

import argparse
import sys
from pathlib import Path

from study.comparison.few_shot_agreement import measure
from study.reports.markdown import markdown, percent

from hoomd_gala import Analyzer
from hoomd_gala.errors import InputError


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Agreement of few-shot models with all labels.")
    parser.add_argument("files", nargs="+", type=Path, metavar="RUN.gsd")
    parser.add_argument("--source", nargs="+", default=["structures", "denoising"])
    options = parser.parse_args()
    try:
        reference = Analyzer("structures")
        rows = [row for path in options.files for row in measure(path, reference, options.source)]
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for row in rows:
        for key in ("agreement", "worst draw"):
            row[f"{key} / %"] = percent(row.pop(key))
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
