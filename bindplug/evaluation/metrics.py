"""Accuracy, average precision and recall, each with a 95 % confidence interval."""

import math

import numpy as np

UNDEFINED = {"value": None, "low": None, "high": None}


def wilson(hits: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of the share hits / count, in [0, 1] (E. B. Wilson, JASA 1927).

    With z = 1.96 and p = hits / count: (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) /
    (1 + z^2 / n).
    """
    z, p = 1.959964, hits / count
    middle = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(p * (1 - p) / count + z * z / (4 * count**2)) / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def top_k(scores: np.ndarray, truth: np.ndarray, k: int = 1) -> dict:
    """Share of rows with a true class among their k highest scores; of queries and items, R@k.

    Args:
        scores: (N, C); of equal scores the earlier column counts.
        truth: (N, C) bool.

    Returns:
        `value`, `low` and `high` (Wilson's interval), to four digits; all None without a row.
    """
    if not len(scores):
        return UNDEFINED
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    hits = int(np.take_along_axis(truth, best, 1).any(axis=1).sum())
    return _result(hits / len(scores), wilson(hits, len(scores)))


def retrieval(queries: str, items: str, cosines: np.ndarray, truth: np.ndarray) -> dict[str, dict]:
    """R@1, R@5 and R@10 in both directions, "audio to image R@1" and so on, as `top_k` each.

    Args:
        queries, items: what rows and columns are called.
        cosines: (N, M).
        truth: (N, M) bool, what belongs together; a query that belongs to nothing does not count.
    """
    out = {}
    for a, b, scores, right in (
        (queries, items, cosines, truth),
        (items, queries, cosines.T, truth.T),
    ):
        paired = right.any(axis=1)
        for k in (1, 5, 10):
            out[f"{a} to {b} R@{k}"] = top_k(scores[paired], right[paired], k)
    return out


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the true rows of the precision at each, rows ranked by falling (N,) scores.

    Rows of equal score count together, so that their order does not matter. NaN where no row of
    the (N,) bool truth is true.
    """
    if not truth.any():
        return math.nan
    order = np.argsort(-scores, kind="stable")
    ranked, values = truth[order], scores[order]
    last = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)  # of each run of equals
    found = np.cumsum(ranked)[last]
    recall = found / truth.sum()
    return float(np.sum(np.diff(recall, prepend=0) * found / (last + 1)))


def mean_average_precision(scores: np.ndarray, truth: np.ndarray) -> dict:
    """Mean of `average_precision` over the classes that occur; scores and truth are (N, C).

    Returns:
        As `top_k`; the interval is that of 500 resamples of the rows (50 of large tables). None
        where no class occurs.
    """

    def value(rows) -> float:
        each = map(average_precision, scores[rows].T, truth[rows].T)
        each = [x for x in each if not math.isnan(x)]
        return sum(each) / len(each) if each else math.nan

    n = len(scores)
    if not truth.any():
        return UNDEFINED
    rng, resamples = np.random.default_rng(0), 500 if truth.size < 1e6 else 50
    again = [value(rng.integers(0, n, n)) for _ in range(resamples)]
    return _result(value(np.arange(n)), np.nanpercentile(again, (2.5, 97.5)))


def rounded(value: float) -> float | None:
    """Four digits; None for NaN, which JSON does not have."""
    return None if math.isnan(value) else round(float(value), 4)


def _result(value: float, interval) -> dict:
    return dict(zip(("value", "low", "high"), map(rounded, (value, *interval)), strict=True))
