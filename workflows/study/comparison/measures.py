"""Measures of labels and confidences."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_auc_score

from hoomd_gala.errors import InputError

#: Equal-width bins of confidence.
N_BINS = 15


def area_under_roc(high: ArrayLike, low: ArrayLike) -> float:
    """Probability that a value of ``high`` exceeds one of ``low``; a tie counts one half.

    Raises
    ------
    InputError
        If either has no values.
    """
    first, second = np.asarray(high), np.asarray(low)
    if not len(first) or not len(second):
        raise InputError("the area under a ROC curve needs values on both sides.")
    positive = np.repeat([True, False], [len(first), len(second)])
    return float(roc_auc_score(positive, np.concatenate([first, second])))


def reliability(
    confidence: NDArray[np.floating], correct: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean confidence, accuracy and number of particles in each bin, (N_BINS,) each.

    Means of an empty bin are NaN.

    Parameters
    ----------
    confidence : (N,) float
        In [0, 1].
    correct : (N,) bool
        Whether each particle's label is correct.
    """
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    counts = np.bincount(bins, minlength=N_BINS)
    sums = np.stack([np.bincount(bins, values, N_BINS) for values in (confidence, correct)])
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means[0], means[1], counts


def calibration_error(confidence: NDArray[np.floating], correct: NDArray[np.bool_]) -> float:
    """Return the expected calibration error: mean |accuracy - confidence| of particles' bins.

    Takes what :func:`reliability` takes.
    """
    mean, accuracy, counts = reliability(confidence, correct)
    filled = counts > 0
    return float((abs(accuracy - mean) * counts)[filled].sum() / counts.sum())
