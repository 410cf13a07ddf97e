"""How the shipped model ``structures-fast`` learns: from the same data, and from ``structures``.

A smaller network learns in the same two stages; in the second, half from the labels and half from
the output of the larger network (Hinton, Vinyals and Dean, arXiv 1503.02531).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.files.models import load_model, save_model
from hoomd_gala.networks import CoreConfig, FrameClassifier
from study.training import shipped
from study.training.curves import write_curve
from study.training.kinds import read_kinds
from study.training.names import CHECKPOINT, CURVE, FAST_MODEL, FAST_SITES, KINDS, MODEL, SITES
from study.training.surroundings import label_logits, surroundings

#: Size of the network: with half the hidden units, every pair takes a third of the work.
CORE = CoreConfig(width=32, hidden=16, blocks=2, tied=True)
#: Hidden units through which the embeddings of each ring around a particle reach its label.
CONTEXT = 48

#: Factor on the larger network's number of epochs of the first stage: a small network takes longer
#: to learn, and less time.
EPOCHS = 2


def learn_sites(folder: Path, parameters: Mapping[str, Any], files: shipped.SampleFiles) -> None:
    """First stage, in the folder where ``structures`` is trained.

    Writes ``fast-sites.safetensors``, checkpoint and learning curve.
    """
    kinds = read_kinds(folder / KINDS)
    model, curve = shipped.train_sites(
        CORE,
        kinds,
        files,
        parameters,
        EPOCHS * parameters["site_epochs"],
        folder / f"fast_sites_{CHECKPOINT}",
    )
    write_curve(folder / f"fast_sites_{CURVE}", "fast sites learning curve", curve)
    save_model(folder / FAST_SITES, model)


def learn_labels(
    folder: Path,
    parameters: Mapping[str, Any],
    files: shipped.SampleFiles,
    held_out: shipped.SampleFiles,
) -> None:
    """Second stage; writes ``structures-fast.safetensors``."""
    kinds = read_kinds(folder / KINDS)
    # the classes are those of the larger network
    classes, _ = shipped.find_classes(load_model(folder / SITES), kinds, parameters["seed"])
    teacher, sites = load_model(folder / MODEL), load_model(folder / FAST_SITES)
    assert isinstance(teacher.network, FrameClassifier)
    analyzers = [Analyzer(model) for model in (sites, teacher)]
    learned, taught = surroundings(analyzers, files.values())
    logits = label_logits(teacher.network, taught)
    del taught
    network, curve = shipped.train_context(
        sites,
        learned,
        classes,
        CONTEXT,
        shipped.label_config(parameters),
        folder / f"fast_labels_{CHECKPOINT}",
        logits,
    )
    write_curve(folder / f"fast_labels_{CURVE}", "fast labels learning curve", curve)
    (unseen,) = surroundings([Analyzer(sites)], held_out.values())
    model = shipped.finish(network, CORE, CONTEXT, classes, learned, unseen)
    model.info.card["learned from"] = "the labels of its data and, as much, those of structures"
    save_model(folder / FAST_MODEL, model)
