import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest

from bindplug import BindplugError, Embedding, SpaceMismatch, compose, similarity
from bindplug.embedding.vectors import by_parts, concatenate


def make(rows, space="a", modality="audio"):
    labels = tuple(f"{modality} {i}" for i in range(len(rows)))
    return Embedding(np.array(rows, dtype=np.float64), space, modality, labels)


def test_rows_are_unit_float32():
    e = make([[3, 4], [0, 2]])
    assert e.vectors.dtype == np.float32
    assert np.allclose(e.vectors, [[0.6, 0.8], [0, 1]])


def test_compose_is_normalise_weigh_add_normalise():
    a, b = make([[5, 0]]), make([[0, 0.1]], modality="image")
    both = compose([(a, 0.5), (b, 0.5)])
    assert np.allclose(both.vectors, [[0.5**0.5, 0.5**0.5]])  # lengths before do not matter
    assert both.modality == "mixed" and both.labels == ("audio 0 + image 0",)
    uneven = compose([(a, 3.0), (b, 4.0)])
    assert np.allclose(uneven.vectors, [[0.6, 0.8]])


def test_compose_repeats_a_single_row():
    many = make([[1, 0], [0, 1]])
    out = compose([(many, 1.0), (make([[0, 1]]), 1.0)])
    assert np.allclose(out.vectors, [[0.5**0.5, 0.5**0.5], [0, 1]])
    with pytest.raises(BindplugError, match="2, 3 rows"):
        compose([(many, 1), (make([[1, 0]] * 3), 1)])


def test_a_sum_remembers_its_parts_and_a_difference_none():
    a, b = make([[1, 0], [0, 1]]), make([[0, 1]], modality="image")
    both = compose([(a, 0.7), (b, 0.3)])
    assert [[(e.labels, w) for e, w in row] for row in both.parts] == [
        [(("audio 0",), 0.7), (("image 0",), 0.3)],
        [(("audio 1",), 0.7), (("image 0",), 0.3)],
    ]
    assert both[1].parts == both.parts[1:]
    assert concatenate([a, both]).parts == ((), (), *both.parts)
    difference = compose([(a, 1.0), (b, -0.5)])
    assert not any(difference.parts)
    assert difference.labels == ("audio 0 - image 0", "audio 1 - image 0")
    assert compose([(b, -0.5), (a, 1.0)]).labels[0] == "- image 0 + audio 0"
    assert compose([(a, 1.0), (make([[1, 1]]), 1.0)]).modality == "audio"


def test_a_sum_is_named_by_its_parts_without_folders():
    def named(name, vector):
        return Embedding(np.array([vector], np.float32), "s", "audio", (name,))

    cat, dog = named("m/cat.wav", [1, 0, 0]), named("m/dog.wav", [0, 1, 0])
    cow = named("a cow", [0, 0, 1])
    assert compose([(cat, 1.0), (dog, 0.5)]).labels == ("cat + dog",)
    difference = compose([(dog, 1.0), (cow, -1.0)])
    assert compose([(cat, 1.0), (difference, -0.5)]).labels == ("cat - (dog - a cow)",)
    assert compose([(cat, 1.0), (difference, 0.5)]).labels == ("cat + dog - a cow",)


def test_a_sum_is_carried_part_by_part():
    a, b = make([[1, 0]]), make([[0, 1]])
    nested = compose([(compose([(a, 1), (b, 1)]), 1), (b, 2)])

    def turned_and_doubled_on_one_axis(e):
        return replace(e, vectors=e.vectors[:, ::-1] * [2, 1])

    out = by_parts(nested, turned_and_doubled_on_one_axis)
    inner = np.array([1, 1]) / np.sqrt(2)  # of (0, 1) and (1, 0), each of length 1
    wanted = inner + 2 * np.array([1, 0])
    assert np.allclose(out.vectors, wanted / np.linalg.norm(wanted))
    assert np.allclose(by_parts(nested, lambda e: e).vectors, nested.vectors, atol=1e-7)


def test_two_spaces_are_an_error_that_names_the_bridge():
    with pytest.raises(SpaceMismatch, match=r"'a' and 'b'.*fit_bridge"):
        compose([(make([[1, 0]]), 0.5), (make([[1, 0]], space="b"), 0.5)])
    with pytest.raises(SpaceMismatch):
        similarity(make([[1, 0]]), make([[1, 0]], space="b"))
    with pytest.raises(SpaceMismatch):
        concatenate([make([[1, 0]]), make([[1, 0]], space="b")])


def test_what_cannot_be_composed():
    with pytest.raises(BindplugError, match="cancel"):
        compose([(make([[1, 0]]), 1), (make([[1, 0]]), -1)])
    with pytest.raises(BindplugError, match="at least one"):
        compose([])


def test_bad_vectors():
    with pytest.raises(BindplugError, match=r"\(N, D\)"):
        Embedding(np.ones(3), "a", "text", ("x",))
    with pytest.raises(BindplugError, match="labels"):
        Embedding(np.ones((2, 3)), "a", "text", ("x",))
    with pytest.raises(BindplugError, match="NaN"):
        Embedding(np.array([[np.nan, 1]]), "a", "text", ("x",))


def test_indexing_keeps_rows():
    e = make([[1, 0], [0, 1], [1, 1]])
    assert e[1].vectors.shape == (1, 2) and e[1].labels == ("audio 1",)
    assert len(e[1:]) == 2


def test_pickles_leave_the_embedder_out_and_copies_share_it():
    embedder = object()
    e = compose([(replace(make([[1, 0]]), embedder=embedder), 1.0), (make([[0, 1]]), 0.5)])
    assert e.embedder is embedder
    back = pickle.loads(pickle.dumps(e))
    assert back == e and back.embedder is None and back.parts[0][0][0].embedder is None
    for made in (copy.copy(e), copy.deepcopy(e)):
        assert made == e and made.embedder is embedder
    assert copy.deepcopy(e).vectors is not e.vectors


def test_values_of_other_types():
    row = Embedding(np.ones((1, 4)), "s", "text", ("x",))
    with pytest.raises(BindplugError, match=r"takes \(embedding, weight\) pairs"):
        compose([row, row])
    with pytest.raises(BindplugError, match="weights \\['a'\\]; give numbers"):
        compose([(row, "a")])
    with pytest.raises(BindplugError, match="type str; give an Embedding"):
        similarity(row, "x")
