"""Embeddings in two dimensions."""

import numpy as np
from numpy.typing import NDArray


def project(embedding: NDArray[np.float32]) -> tuple[NDArray[np.float64], str]:
    """Two coordinates of each embedding.

    By UMAP (McInnes, Healy and Melville, arXiv 1802.03426) where the package umap-learn is
    installed, and on the two principal components otherwise.

    Parameters
    ----------
    embedding : (M, D)
        At least three.

    Returns
    -------
    (M, 2) float64, str
        The coordinates, and ``"UMAP"`` or ``"PCA"``.
    """
    try:
        from umap import UMAP
    except ImportError:
        return principal_components(embedding), "PCA"
    # fewer neighbors than there are points
    neighbors = min(15, len(embedding) - 1)
    points = UMAP(n_neighbors=neighbors, random_state=1, n_jobs=1).fit_transform(embedding)
    return np.asarray(points, np.float64), "UMAP"


def principal_components(embedding: NDArray[np.float32]) -> NDArray[np.float64]:
    """(M, 2) coordinates along the two directions of the largest variance of (M, D)."""
    centered = np.asarray(embedding, np.float64) - np.mean(embedding, axis=0, dtype=np.float64)
    _, _, axes = np.linalg.svd(centered, full_matrices=False)
    # either sign would do: take the one that makes the largest component positive
    largest = np.abs(axes[:2]).argmax(axis=1)
    signs = np.sign(axes[[0, 1], largest])
    points: NDArray[np.float64] = centered @ (axes[:2] * signs[:, None]).T
    return points
