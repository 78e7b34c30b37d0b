"""Where a model of exclusive classes errs: what it takes for what, how sure it is of it, and what was missing then.

Shapes: N utterances, C classes.
"""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emobraid.evaluation.metrics import top_label
from emobraid.evaluation.predictions import Predictions

SUREST = 20  # mistakes that are told one by one, to look at or listen to
CONVENTION = (
    "rows whose largest probability is another class than the true one; a share is of the rows of the true class"
)


def errors(predictions: Predictions, temperature: float) -> dict[str, Any]:
    """What is wrong with all modalities kept, plain values for JSON.

    `pairs` are the confusions, commonest first; `surest` the wrong rows said with the most confidence; `present` and
    `groups` tell how many of the rows with these modalities, or of this speaker or dialogue, are wrong.
    """
    rows = predictions.rows(predictions.full)
    true, probabilities = predictions.true[rows], predictions.probabilities(predictions.full, temperature)[rows]
    confidence, right = top_label(probabilities, true)
    said, wrong = probabilities.argmax(axis=1), ~right
    names, ids = predictions.classes, np.array(predictions.ids, dtype=object)[rows]
    surest = sorted(np.flatnonzero(wrong), key=lambda i: -confidence[i])[:SUREST]
    there = ["+".join(np.array(predictions.modalities, dtype=object)[row]) for row in predictions.present[rows]]
    groups = np.array(predictions.groups, dtype=object)[rows].tolist() if predictions.groups else []
    return {
        "n": int(wrong.sum()),
        "share": float(wrong.mean()),
        "pairs": _pairs(true[wrong], said[wrong], confidence[wrong], np.bincount(true, minlength=len(names)), names),
        "surest": [
            {"id": ids[i], "true": names[true[i]], "said": names[said[i]], "confidence": float(confidence[i])}
            for i in surest
        ],
        "present": _shares(there, wrong),
        "groups": _shares(groups, wrong),
        "convention": CONVENTION,
    }


def _pairs(
    true: NDArray[np.intp],
    said: NDArray[np.intp],
    confidence: NDArray[np.float64],
    support: NDArray[np.intp],
    names: tuple[str, ...],
) -> list[dict[str, Any]]:
    found = []
    for (t, s), count in Counter(zip(true.tolist(), said.tolist(), strict=True)).most_common():
        own = (true == t) & (said == s)
        pair = {"true": names[t], "said": names[s], "n": count, "share": count / int(support[t])}
        found.append({**pair, "confidence": float(confidence[own].mean())})
    return found


def _shares(keys: list[str], wrong: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    """By key, the largest share of wrong rows first."""
    total, missed = Counter(keys), Counter(k for k, w in zip(keys, wrong, strict=False) if w)
    shares = {k: {"n": n, "wrong": missed[k], "share": missed[k] / n} for k, n in total.items()}
    return dict(sorted(shares.items(), key=lambda item: -item[1]["share"]))
