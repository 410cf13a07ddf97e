"""Labels with and without thermal displacements, on systems of the study ``quality``.

Prints a row for each sample, with the share of particles that have the right name before and after
or, of disorder alone, the share that is named crystalline, and the means of each group. Systems are
made anew, which takes some minutes for the group ``hot`` and an hour for all disorder.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))

from study.comparison import scores
from study.comparison.labelers import Labeling
from study.flow.studies import state_points
from study.operations.quality import ABOUT, maker
from study.simulation import thermal
from study.simulation.samples import Sample, uniform

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.results import UNKNOWN_NAME

#: The crystals of the first tables in docs/accuracy.md, from this displacement on.
HOT, HOTTEST = "hot", 0.08


def share(analyzer: Analyzer, group: str, sample: Sample) -> float | None:
    """Share of the judged particles with the right name or, of disorder alone, of a crystal's.

    None if the model has no name for what is there.
    """
    result = analyzer.analyze_system(sample.system)
    given = np.array([*result.class_names, UNKNOWN_NAME])[result.label]
    found = scores.Measured(group, "", sample, {"": Labeling(given, result.confidence)})
    structures = scores.structures_of(sample)
    knowledge = scores.model_knowledge(analyzer.model.info, structures)
    if not scores.knows(found, knowledge):
        return None
    score = scores.score([found], "", knowledge)
    return score.right if structures else score.named


def samples_of(point: dict[str, Any]) -> Iterator[Sample]:
    """Yield samples of a system of the study, or all hot crystals."""
    if point["group"] != HOT:
        how = {key: value for key, value in point.items() if key not in ABOUT}
        yield from maker(point["make"])(**how)
        return
    for structure in thermal.STRUCTURES:
        for source in thermal.sources(structure).values():
            for hot in source(n_particles=thermal.N_PARTICLES):
                if hot.level >= HOTTEST:
                    name = f"{structure} {hot.kind} {hot.rms:.1%}"
                    yield uniform(name, hot.system, structure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--group", nargs="+", default=[HOT], metavar="GROUP")
    parser.add_argument("--name", default="", help="part of the names of systems")
    parser.add_argument("--steps", type=int, default=4, help="of denoising")
    parser.add_argument("--model", default="structures")
    options = parser.parse_args()
    plain = Analyzer(options.model)
    quiet = Analyzer(options.model, denoise_steps=options.steps)
    points = [
        point
        for point in state_points("quality")
        if point["kind"] == "quality_system"
        and point["group"] in options.group
        and options.name in point.get("name", "")
    ]
    rows: dict[str, list[tuple[float, float]]] = {}
    made = [*points, *([{"group": HOT}] if HOT in options.group else [])]
    for point in tqdm(made, unit="system"):
        for sample in samples_of(point):
            before, after = (share(one, point["group"], sample) for one in (plain, quiet))
            if before is None or after is None:
                continue
            rows.setdefault(point["group"], []).append((before, after))
            tqdm.write(
                f"{point['group']:16} {point.get('name', ''):32} {sample.name:28} "
                f"{before:7.2%} {after:7.2%}"
            )
    for group, pairs in rows.items():
        mean: NDArray[np.float64] = np.mean(pairs, axis=0)
        print(
            f"{group}: {len(pairs)} samples, mean {mean[0]:.2%} before, {mean[1]:.2%} after; "
            f"better in {sum(b < a for b, a in pairs)}, worse in {sum(b > a for b, a in pairs)}"
        )


if __name__ == "__main__":
    main()
