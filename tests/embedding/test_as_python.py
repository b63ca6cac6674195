"""Embeddings as Python objects, and arithmetic at its edges."""

from dataclasses import replace

import numpy as np
import pytest

from bindplug import Embedding, compose
from bindplug.embedding import concatenate
from bindplug.errors import BindplugError


def embedding(*rows, labels=None, **more):
    rows = np.array(rows, dtype=np.float32).reshape(-1, 3)
    return Embedding(rows, "s", "text", labels or tuple(map(str, range(len(rows)))), **more)


def test_equality_is_of_the_content():
    q = embedding([1, 0, 0], [0, 1, 0])
    same = embedding([1, 0, 0], [-0.0, 1, 0], embedder=object())
    assert (q == same) is True and hash(q) == hash(same) and {q: 1}[same] == 1
    others = [
        q[:1], replace(q, space="t"), replace(q, modality="audio"), replace(q, labels=("a", "b")),
        replace(q, times=(((0.0, 2.0),), ())), embedding([1, 0, 0], [0, 0, 1]), "q", None,
    ]  # fmt: skip
    assert all((q == other) is False and q != other for other in others)
    assert q[0] in list(q) and q[0] != q[1]
    minus_zero = replace(q, vectors=q.vectors * np.float32([1, 1, -1]))
    assert minus_zero == q and hash(minus_zero) == hash(q)


def test_rows():
    q = embedding([1, 0, 0], [0, 1, 0], [0, 0, 1])
    assert [r.labels for r in q] == [("0",), ("1",), ("2",)] and q[-1] == q[2] == q[np.int64(2)]
    assert q[np.array([True, False, True])].labels == ("0", "2")
    with pytest.raises(IndexError):
        q[3]
    none = q[[]]
    assert len(none) == 0 and none.vectors.shape == (0, 3) and not none and bool(q)
    assert none == q[:0] and hash(none) == hash(q[:0]) and list(none) == []
    assert len(compose([(none, 0.5), (none, 0.5)])) == 0
    assert len(concatenate([none, q])) == 3
    with pytest.raises(BindplugError, match="0, 3 rows"):
        compose([(none, 1), (q, 1)])
    with pytest.raises(BindplugError, match="at least one"):
        concatenate([])


def test_a_single_part():
    q = embedding([3, 4, 0])
    assert compose([(q, 1.0)]) == compose([(q, 1e-8)]) == compose([(q, 1e-45)]) == q
    assert compose([(q, 1e30)]) == q
    opposite = compose([(q, -1.0)])
    assert np.array_equal(opposite.vectors, -q.vectors) and opposite.modality == "mixed"
    assert np.allclose(compose([(q, -1e-9)]).vectors, -q.vectors)
    for zero in (0, 0.0):
        with pytest.raises(BindplugError, match="cancel out"):
            compose([(q, zero)])


def test_small_weights_count_by_their_ratio():
    a, b = embedding([1, 0, 0]), embedding([0, 1, 0])
    want = compose([(a, 0.7), (b, 0.3)])
    for scale in (1e-8, 1e-30, 1e20):
        got = compose([(a, 0.7 * scale), (b, 0.3 * scale)])
        assert np.allclose(got.vectors, want.vectors, atol=1e-6)
        (_, x), (_, y) = got.parts[0]
        assert x / y == pytest.approx(7 / 3)
    with pytest.raises(BindplugError, match="cancel out"):
        compose([(a, 1e-8), (a, -1e-8)])


@pytest.mark.parametrize("weight", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers(weight):
    a = embedding([1, 0, 0])
    with pytest.raises(BindplugError, match="finite"):
        compose([(a, 1.0), (a, weight)])
    with pytest.raises(BindplugError, match="finite"):
        compose([(a, weight)])
