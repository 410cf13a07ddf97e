"""How accurate models are on hot crystals, side by side with methods that are not ours.

``python quality.py --model structures --output FOLDER`` makes hot crystals of eight structures,
labels them by the models, by polyhedral template matching (PTM) and by common neighbor analysis
(CNA), and writes tables (CSV, Markdown) and figures into the folder. ``--liquid`` adds files in
which nothing is crystalline, ``--unknown`` files of structures that no model knows. The crystals
are kept in the folder: a second run reuses them.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from study.reports import quality

from hoomd_gala.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, or 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(description="Accuracy of models on hot crystals.")
    parser.add_argument("--model", action="append", required=True, help="name or file; repeatable")
    parser.add_argument(
        "--liquid", action="append", type=Path, default=[], metavar="FILE.gsd",
        help="frames in which nothing is crystalline; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--unknown", action="append", type=Path, default=[], metavar="FILE.gsd",
        help="frames of structures that no model knows; repeatable",
    )  # fmt: skip
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER")
    options = parser.parse_args(arguments)
    try:
        print(quality.run(options.output, options.model, options.liquid, options.unknown))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
