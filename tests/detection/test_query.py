"""How a query reads a host's logits, against figures worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import bindplug
from bindplug import BindplugError, Embedding, SpaceMismatch
from bindplug.bridge import READING, IdentityBridge, Target, VocabularyBridge, WordsBridge
from bindplug.detection.detector import Finder
from bindplug.detection.query import build_query
from bindplug.embedding.vectors import unit

WORDS = ["dog", "puppy", "car", "rain"]
HERE = np.eye(4, 6)
THERE = unit(np.array([[1, 0, 0, 0, 0], [1, 0.15, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0.0]]))


@pytest.fixture
def bridge():
    return VocabularyBridge("a", "b", WORDS, HERE, THERE, temperature=0.5)


def sound(rows, labels=("bark.wav",)):
    return Embedding(np.array(rows, dtype=float), "a", "audio", labels)


def test_none_is_the_hosts_sigmoid(bridge):
    query = build_query(sound([[1, 0, 0, 0.4, 0, 0]]), "b", bridge, competition="none")
    assert np.allclose(query.vectors, bridge(sound([[1, 0, 0, 0.4, 0, 0]])).vectors)
    logits = torch.tensor([[-1.0], [2.0]])
    assert torch.equal(query.to_probabilities(logits), logits.sigmoid())
    assert query.metadata["competition"] == "none" and query.labels == ("bark.wav",)


def test_prompts_compete(bridge):
    query = build_query(sound(np.eye(2, 6), ("x", "y")), "b", bridge, competition="prompts")
    logits = torch.tensor([[3.0, 1.0]])
    assert torch.allclose(query.to_probabilities(logits), logits.softmax(1))


def test_words_compete_and_synonyms_count(bridge):
    prompt = sound([[0.9, 0.1, 0, 0.4, 0, 0]])
    query = build_query(prompt, "b", bridge, competition="words")
    assert query.vectors.shape == (1 + 4, 5)
    heard = bridge.word_probabilities(prompt)[0]
    want = heard / heard.max()
    want[1] = 1.0  # a puppy is nearly a dog
    assert np.allclose(query.word_probabilities[0], want, atol=1e-6)
    logits = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    named = logits[:, 1:].softmax(1) @ torch.tensor(want, dtype=torch.float32)
    assert torch.allclose(
        query.to_probabilities(logits)[:, 0], (logits[:, 0].sigmoid() * named).sqrt()
    )


def test_words_is_the_default_only_across_a_bridge(bridge):
    small = bindplug.load_embedder("small", "cpu")
    own = bindplug.load_embedder("small-clip", "cpu")
    assert build_query(own.embed(text="a dog"), "small-clip").competition == "none"
    query = build_query(small.embed(text="a dog"), "small-clip")
    assert query.competition == "words" and query.word_probabilities.shape == (1, 1003)
    bark = Embedding(small.embed(text="a dog").vectors, "small", "audio", ("bark",))
    query = build_query(bark, "small-clip")  # heard among 163 words, named among all
    assert (
        query.word_probabilities.shape == (1, 1003) and (query.word_probabilities > 0).sum() < 200
    )
    few = build_query(bark, "small-clip", vocabulary=["dog", "cat", "rain"])
    assert few.word_probabilities.shape == (1, 3) and few.word_probabilities[0, 0] == 1


def test_a_negative_takes_regions_away(bridge):
    query = build_query(sound(np.eye(1, 6)), "b", bridge, "none", negative=sound(np.eye(2, 6)[1:]))
    assert query.negatives == 1 and query.vectors.shape == (2, 5)
    scores = torch.tensor([[0.5, 0.2], [0.5, 0.5], [0.1, 0.6]])
    assert query.suppress_negatives(scores).tolist() == [[0.5], [0.0], [0.0]]
    other = Embedding(np.eye(1, 5), "b", "text", ("x",))
    with pytest.raises(SpaceMismatch, match="negative of 'b'"):
        build_query(sound(np.eye(1, 6)), "b", bridge, negative=other)


def test_errors(bridge):
    with pytest.raises(BindplugError, match="words, prompts or none"):
        build_query(sound(np.eye(1, 6)), "b", bridge, competition="loud")
    with pytest.raises(BindplugError, match="no others"):
        build_query(sound(np.eye(1, 6)), "b", bridge, competition="prompts")
    with pytest.raises(BindplugError, match="no words"):
        build_query(sound(np.eye(1, 6)), "a", IdentityBridge("a"), competition="words")
    with pytest.raises(SpaceMismatch, match="target models that read"):
        WordsBridge("a", WORDS, HERE)(sound(np.eye(1, 6)))


@pytest.mark.parametrize("top_k", [0, -1, 2.5, True, None])
def test_numbers_of_objects(top_k):
    row = Embedding(np.eye(1, 4), "a", "text", ("x",))
    with pytest.raises(BindplugError, match="top_k"):
        Finder(SimpleNamespace(score_threshold=0.5), row, top_k=top_k)


def test_prompts_are_embeddings():
    with pytest.raises(BindplugError, match="type str; give an Embedding"):
        build_query("dog", "a")


def test_saying_it_in_words():
    bridge = WordsBridge("a", WORDS, HERE, temperature=0.3)
    prompt = sound([[1, 0.8, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]], ("bark", "motor"))
    query = build_query(prompt, Target(READING), bridge)
    assert query.texts == ("dog", "puppy", "car") and query.vectors is None
    assert (
        np.allclose(query.word_probabilities.sum(1), 1)
        and query.word_probabilities[0, 0] > query.word_probabilities[0, 1] > 0
    )
    assert query.word_probabilities[1].tolist() == [0, 0, 1]
    assert query.metadata["bridge"] == "words (dog, puppy; car)"
    text = Embedding(np.eye(1, 6), "a", "text", ("a red kite",))
    assert build_query(text, Target(READING)).texts == ("a red kite",)


def test_a_fitted_bridge_has_its_own_vocabulary(bridge):
    with pytest.raises(BindplugError, match="has its own vocabulary"):
        build_query(sound(np.eye(1, 6)), "b", bridge, vocabulary=["dog"])


def test_bridges_are_kept_by_fingerprint_not_by_the_spaces_name():
    """Two embedders of one space's name give two bridges; one embedder gives one."""

    def embedder(seed, fingerprint):
        def embed(text):
            rows = [np.random.default_rng([seed, *t.encode()]).normal(size=8) for t in text]
            return Embedding(np.array(rows), "made", "text", tuple(text))

        return SimpleNamespace(space="made", modalities=("text",), device="cpu", embed=embed,
                               fingerprint=fingerprint, stream=None)  # fmt: skip

    def heard_by(one, words=("dog", "cat")):
        prompt = Embedding(np.ones((1, 8)), "made", "image", ("x",), embedder=one)
        query = build_query(prompt, "small-clip", vocabulary=words, competition="none")
        return query.vectors

    assert not np.allclose(heard_by(embedder(0, "")), heard_by(embedder(1, "")))
    assert np.array_equal(heard_by(embedder(0, "")), heard_by(embedder(0, "")))


def test_masks_are_of_the_masker_that_is_asked(media):
    class Whole:
        def __init__(self, value):
            self.value = value

        def encode_image(self, image):
            return self.value

        def masks(self, encoded, image, boxes):
            return np.full((len(boxes), image.height, image.width), encoded)

    detector = bindplug.load_detector("detic", "small", "cpu")
    seen = detector.features(str(media / "garden.png"))
    cat = bindplug.load_embedder("small", "cpu").embed(text="a cat")
    for value in (True, False, True):
        detector.masker = Whole(value)
        found = detector.detect(seen, cat, threshold=0.05)
        assert len(found) and found.masks.all() == value
