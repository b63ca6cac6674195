"""Accuracy, average precision and recall, each with a 95 % confidence interval."""

from __future__ import annotations

import math

import numpy as np

RESAMPLES = 500


def wilson(hits: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z, p = 1.959964, hits / count
    middle = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(p * (1 - p) / count + z * z / (4 * count**2)) / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def top_k(scores: np.ndarray, truth: np.ndarray, k: int = 1) -> dict:
    """Share of rows with a true class among their k highest scores.

    Args:
        scores: (N, C); of equal ones the earlier column counts.
        truth: (N, C) bool.
    """
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    hits = int(np.take_along_axis(truth, best, 1).any(axis=1).sum())
    return _result(hits / len(scores), wilson(hits, len(scores)))


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Mean of the precision at each true row, rows ranked by (N,) scores; nan without a true one.

    Rows of equal score count together, so that their order does not matter.
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
    """Mean over the classes that occur, (N, C) each, with an interval by resampled rows."""

    def value(rows):
        each = [average_precision(scores[rows, c], truth[rows, c]) for c in range(truth.shape[1])]
        return float(np.nanmean(each))

    n = len(scores)
    rng = np.random.default_rng(0)
    again = [
        value(rng.integers(0, n, n)) for _ in range(RESAMPLES if n * truth.shape[1] < 1e6 else 50)
    ]
    return _result(value(np.arange(n)), np.percentile(again, (2.5, 97.5)))


def recall_at(similarity: np.ndarray, truth: np.ndarray, k: int) -> dict:
    """Share of queries with a true item among the k nearest; (Q, N) each."""
    return top_k(similarity, truth, k)


def _result(value: float, interval) -> dict:
    return {"value": round(value, 4), "low": round(float(interval[0]), 4),
            "high": round(float(interval[1]), 4)}  # fmt: skip
