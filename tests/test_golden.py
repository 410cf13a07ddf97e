"""The shipped models reach what their cards say, and give the labels that they have always given.

Samples are made as those that the cards are about, from seeds of their own. Tolerances are a few
standard errors of these samples, in which errors come in patches; the last tests show that models
with slightly wrong weights do not get through.
"""

import contextlib
import copy
import functools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from golden import KEPT, systems

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals import crystal, displace, prototypes, unit_cell, unit_cells
from hoomd_gala.crystals.corrections import CORRECTIONS
from hoomd_gala.files.models import Model, ModelInfo, load_model, shipped_models
from hoomd_gala.learning.datasets import cell_frames, to_tensors
from hoomd_gala.learning.tasks import TASKS
from hoomd_gala.learning.training import evaluate, seeded
from hoomd_gala.neighbors import nearest_neighbors
from hoomd_gala.systems import make_system

#: Models that name structures.
STRUCTURE_MODELS = ("structures", "structures-fast")

#: The structures that the accuracies on their cards are means over.
COMMON = ("cF4-Cu", "hP2-Mg", "cI2-W", "cP1-Po", "cF8-C", "hP4-C.3", "cP8-Cr3Si", "tP30-CrFe")

#: Classes that less than nine tenths of the particles of their own crystals are given, at a
#: displacement of 0.05, and how many are; all of the others are given more. This one is a carbon
#: some of whose sites are much like those of another, oP16-C.
WEAK = {"mP8-C": 0.35}


def accepted_classes(info: ModelInfo, structure: str) -> list[str]:
    """Classes that are right for a unit cell: its own, and those that its sites are merged into."""
    merged = info.card["merged"]
    return [name for name in info.class_names if structure in (name, *merged.get(name, ()))]


def accuracy(analyzer: Analyzer, structure: str, n: int, noise: float, seed: int) -> float:
    """Fraction of the particles of a displaced crystal that are labeled right."""
    system = displace(crystal(unit_cell(structure), n), noise, np.random.default_rng(seed))
    names = analyzer.analyze_system(system).names
    return float(np.isin(names, accepted_classes(analyzer.model.info, structure)).mean())


def dense_fluid(n: int, seed: int):
    """Random positions at number density 1, moved apart to 0.9: a jammed fluid of hard spheres."""
    side = n ** (1 / 3)
    box = np.array([side, side, side, 0, 0, 0])
    positions = np.random.default_rng(seed).uniform(-side / 2, side / 2, (n, 3))
    for _ in range(30):
        bonds = nearest_neighbors(positions, box, n=14).bonds
        lengths = np.maximum(np.linalg.norm(bonds, axis=-1, keepdims=True), 1e-9)
        positions -= (0.5 * np.maximum(0.9 - lengths, 0) * bonds / lengths).sum(axis=1)
    return make_system(positions, box)


def ideal_gas(n: int, seed: int):
    side = n ** (1 / 3)
    positions = np.random.default_rng(seed).uniform(-side / 2, side / 2, (n, 3))
    return make_system(positions, [side, side, side, 0, 0, 0])


@functools.cache
def analyzer(name: str) -> Analyzer:
    return Analyzer(name, "cpu")


@functools.cache
def fixed_systems():
    return systems()


@pytest.mark.parametrize("model", sorted(shipped_models()))
def test_labels_and_embeddings_are_those_that_the_model_has_always_given(model):
    kept = np.load(Path(__file__).with_name("golden.npz"))
    for name, system in fixed_systems().items():
        result = analyzer(model).analyze_system(system)
        np.testing.assert_array_equal(result.label, kept[f"{model}/{name}/label"], err_msg=name)
        # 1e-6 on one machine; matrix units round at 1e-5 of the largest number
        expected = kept[f"{model}/{name}/embedding"]
        scale = max(1, np.abs(expected).max())
        np.testing.assert_allclose(result.embedding[:KEPT], expected, rtol=0, atol=1e-4 * scale)


def perturbed(model: Model, size: float) -> Model:
    """A model with every weight wrong by so much of itself, at random."""
    network = copy.deepcopy(model.network)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(1 + size * torch.randn(weight.shape, generator=generator))
    return Model(network, model.info)


@contextlib.contextmanager
def cells_learned_from() -> Iterator[None]:
    """Unit cells as the models of tasks learned them: all, and three of them corrected."""
    corrected = ("tP30-CrFe", "hP24-MgNi2", "cF136-Si")
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prototypes, "LEFT_OUT", {})
            patch.setattr(prototypes, "CORRECTIONS", {it: CORRECTIONS[it] for it in corrected})
            unit_cells.cache_clear()
            yield
    finally:
        unit_cells.cache_clear()


# ---- structures ----


def mean_accuracy(analyzer: Analyzer, noise: float) -> float:
    """As the cards have it: mean over the common structures, 1500 particles or more of each."""
    return float(np.mean([accuracy(analyzer, name, 1500, noise, 11) for name in COMMON]))


@pytest.mark.slow
@pytest.mark.parametrize("name", STRUCTURE_MODELS)
@pytest.mark.parametrize(("noise", "tolerance"), [(0.08, 0.004), (0.1, 0.01)])
def test_common_structures_are_named_as_often_as_the_card_says(name, noise, tolerance):
    on_card = analyzer(name).model.info.card["metrics"][f"accuracy, Gaussian {noise:g}"]
    assert mean_accuracy(analyzer(name), noise) == pytest.approx(on_card, abs=tolerance)


@pytest.mark.parametrize("name", STRUCTURE_MODELS)
def test_every_class_is_given_to_its_own_crystal(name):
    info = analyzer(name).model.info
    classes = [each for each in info.class_names if each not in ("disordered", *info.withheld)]
    right = {each: accuracy(analyzer(name), each, 150, 0.05, 12) for each in classes}
    for each, share in right.items():
        assert share >= WEAK.get(each, 0.9), each
    # crystals without a surface are easier than what was held out of training
    assert np.mean(list(right.values())) > info.card["held out"]["accuracy"]


@pytest.mark.parametrize("name", STRUCTURE_MODELS)
def test_withheld_classes_are_never_named(name):
    for withheld in analyzer(name).model.info.withheld:
        system = displace(crystal(unit_cell(withheld), 500), 0.03, np.random.default_rng(13))
        assert withheld not in analyzer(name).analyze_system(system).names


@pytest.mark.parametrize("name", STRUCTURE_MODELS)
def test_disordered_systems_are_not_called_crystalline(name):
    fluid = analyzer(name).analyze_system(dense_fluid(2000, 14))
    # the card has that of liquids: 0.2 and 0.1 %
    assert (
        fluid.fraction() <= analyzer(name).model.info.card["metrics"]["liquid called crystalline"]
    )
    assert fluid.fractions["disordered"] > 0.98
    assert analyzer(name).analyze_system(ideal_gas(2000, 14)).fraction() == 0


#: Labels of 250 or more particles of each common structure, displaced by 0.07, of a dense fluid of
#: 500 and of an ideal gas of 200: those when these models were new.
LABELS = {
    "structures": {
        "cF4-Cu": 256,
        "hP2-Mg": 288,
        "cI2-W": 250,
        "cP1-Po": 250,
        "cF8-C": 288,
        "hP4-C.3": 300,
        "cP8-Cr3Si": 288,
        "tP30-CrFe": 356,
        "unknown": 6,
        "disordered": 700,
    },
    "structures-fast": {
        "cF4-Cu": 256,
        "hP2-Mg": 288,
        "cI2-W": 250,
        "cP1-Po": 252,
        "cF8-C": 288,
        "hP4-C.3": 300,
        "cP8-Cr3Si": 288,
        "tP30-CrFe": 340,
        "unknown": 20,
        "disordered": 700,
    },
}


def label_counts(analyzer: Analyzer) -> dict[str, int]:
    """How many particles of the systems of ``LABELS`` have each label."""
    systems = [
        displace(crystal(unit_cell(name), 250), 0.06, np.random.default_rng(0)) for name in COMMON
    ]
    systems += [dense_fluid(500, 0), ideal_gas(200, 1)]
    results = [analyzer.analyze_system(system) for system in systems]
    # rounding, which differs between processors, decides nothing: all are far from the limit
    limit = analyzer.model.info.unknown_below
    assert min(np.abs(result.confidence - limit).min() for result in results) > 0.002
    return dict(Counter(str(name) for result in results for name in result.names))


@pytest.mark.parametrize("name", STRUCTURE_MODELS)
def test_labels_are_exactly_those_that_they_were(name):
    assert label_counts(analyzer(name)) == LABELS[name]


# ---- the tasks of arXiv 2411.14680 ----

#: Share of a loss by which it may differ from the card's. This sample has a tenth of the card's
#: environments; most of the loss of nearest bonds comes from a few unit cells, so that it varies.
TOLERANCE = dict.fromkeys(TASKS, 0.03) | {"nearest-bond": 0.08}


@functools.cache
def environments():
    """Six environments of each unit cell at each noise level; the cards are about 60."""
    with cells_learned_from():
        return cell_frames(list(unit_cells()), (0.01, 0.05, 0.1), 6, np.random.default_rng(15))[0]


def relative_metrics(model: Model) -> dict[str, float]:
    """Metrics of a model on these environments, in units of those on its card."""
    task, info = TASKS[model.info.task], model.info
    clean = to_tensors(environments(), info.core, info.length_scale)
    found = evaluate(model.network, task.loss, task.corrupt(clean, seeded(16)))
    return {key: value / info.card["metrics"][f"validation_{key}"] for key, value in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_losses_are_those_on_the_card(task):
    ratios = relative_metrics(load_model(task))
    assert ratios.pop("loss") == pytest.approx(1, abs=TOLERANCE[task])
    # accuracies and parts of the loss
    assert ratios == {key: pytest.approx(1, abs=0.06) for key in ratios}


# ---- what would not get through ----


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_wrong_weights_are_noticed_by_the_loss(task):
    ratios = relative_metrics(perturbed(load_model(task), 0.1))
    assert ratios["loss"] > 1 + 2 * TOLERANCE[task]


@pytest.mark.parametrize("name", STRUCTURE_MODELS)
def test_wrong_weights_are_noticed_by_the_labels(name):
    wrong = Analyzer(perturbed(load_model(name), 0.01), "cpu")
    with pytest.raises(AssertionError):
        assert label_counts(wrong) == LABELS[name]
    assert (
        mean_accuracy(wrong, 0.1)
        < wrong.model.info.card["metrics"]["accuracy, Gaussian 0.1"] - 0.004
    )


def test_cards_are_those_of_the_models_beside_them():
    for path in shipped_models().values():
        card = json.loads(path.with_suffix(".json").read_text())
        info = load_model(path).info
        assert card["card"] == json.loads(json.dumps(info.card))
        assert card["task"] == info.task
