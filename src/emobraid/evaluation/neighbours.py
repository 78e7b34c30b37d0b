"""The model's features on a plane: t-SNE (van der Maaten and Hinton 2008, JMLR 9:2579-2605), by scikit-learn.

Shapes: N utterances, D width.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST = 2_000  # more would be a blot, and slow
FEWEST = 8  # under this there are no neighbours to speak of


def plane(features: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(N, D) features to (N, 2) places: neighbours stay neighbours; distances between groups mean little. Seeded."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    # fewer columns first: quicker, and less noise (as the paper does)
    few = PCA(min(50, *features.shape), random_state=0).fit_transform(features.astype(np.float64))
    around = min(30.0, (len(few) - 1) / 3)
    made = TSNE(perplexity=around, init="pca", random_state=0).fit_transform(few)
    return np.asarray(made, dtype=np.float64)


def chosen(rows: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Places of the utterances to draw: all of `rows` (N,), or MOST of them drawn with a fixed seed, in order."""
    places = np.flatnonzero(rows)
    if len(places) <= MOST:
        return places
    return np.sort(np.random.default_rng(0).choice(places, MOST, replace=False))
