"""How models compare with other methods on the systems of a study.

``python project.py run --study quality`` makes these systems and measures the shipped models.
``python measure.py --model new.safetensors --output FOLDER`` measures other models on them: only
these have to label anything. A model file is known by its content: one that is measured again, or
is compared with more models, labels nothing twice. Systems that the study has not made yet, because
it still runs, are missing from the report.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import signac
from study.flow import studies
from study.flow.jobs import FOLDER, is_current

from hoomd_gala.cli.arguments import whole
from hoomd_gala.errors import InputError


def measure(
    study: str, groups: Sequence[str], models: Sequence[str], output: Path, denoise_steps: int = 0
) -> str:
    """Measure models on the systems that a study has made.

    Raises
    ------
    InputError
        If the study has made none.
    """
    from study.operations.quality import system_folders
    from study.reports import scoreboard

    studies.load(study)
    made = FOLDER / ".signac"
    project = signac.get_project(FOLDER) if made.is_dir() else None
    jobs = project.find_jobs({"study": study, "kind": "quality_system"}) if project else []
    chosen = [job for job in jobs if is_current(job) and (not groups or job.sp.group in groups)]
    folders = system_folders(chosen)
    if not folders:
        raise InputError(
            f"study {study} has made no such systems; python project.py run --study {study} does."
        )
    return scoreboard.run(output, folders, models, denoise_steps)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, or 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(description="Measure models on the systems of a study.")
    parser.add_argument("--model", action="append", required=True, help="name or file; repeatable")
    parser.add_argument("--study", default="quality", help="study that makes the systems")
    parser.add_argument(
        "--group", action="append", default=[], help="of systems; repeatable, all if not given"
    )
    parser.add_argument(
        "--denoise", type=whole, default=0, metavar="N",
        help="measure models with N steps of denoising as well, see hoomd-gala label --denoise",
    )  # fmt: skip
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER")
    options = parser.parse_args(arguments)
    try:
        print(measure(options.study, options.group, options.model, options.output, options.denoise))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
