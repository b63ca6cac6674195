"""Bridges between two made spaces in which the right answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from bindplug import BindplugError, Embedding, SpaceMismatch, compose, fit_bridge
from bindplug.bridge import (
    TEMPLATES,
    LinearBridge,
    Target,
    VocabularyBridge,
    cross,
    text_reader,
)
from bindplug.bridge.vocabulary import default_vocabulary, read_vocabulary
from bindplug.detection.query import build_query
from bindplug.embedding.vectors import concatenate, unit
from bindplug.errors import MissingDependency

WORDS = ["dog", "cat", "car", "train", "rain", "bell"]


class Speaker:
    """An embedder whose word vectors are given; templates do not matter to it."""

    modalities = ("text",)
    fingerprint = ""

    def __init__(self, space, vectors):
        self.space = space
        self.vectors = dict(zip(WORDS, vectors, strict=True))

    def embed(self, text):
        text = [text] if isinstance(text, str) else text
        rows = [self.vectors[t.split()[-1].lower()] for t in text]
        return Embedding(np.stack(rows), self.space, "text", tuple(text))


@pytest.fixture
def speakers():
    rng = np.random.default_rng(0)
    x = unit(rng.normal(size=(6, 16)))
    return Speaker("a", x), Speaker("b", unit(rng.normal(size=(6, 9))))


def near(speaker, word, noise=0.05):
    rng = np.random.default_rng(1)
    row = speaker.vectors[word] + noise * rng.normal(size=len(speaker.vectors[word]))
    return Embedding(row[None], speaker.space, "audio", ("sound",))


@pytest.mark.parametrize("kind", ["vocabulary", "linear"])
def test_a_word_arrives_as_itself(kind, speakers):
    bridge = fit_bridge(kind, *speakers, WORDS)
    out = bridge(near(speakers[0], "train"))
    assert out.space == "b" and out.modality == "audio" and out.labels == ("sound",)
    cosines = {w: float(out.vectors[0] @ v) for w, v in speakers[1].vectors.items()}
    assert max(cosines, key=cosines.get) == "train" and cosines["train"] > 0.9


@pytest.mark.parametrize("kind", ["vocabulary", "linear"])
def test_both_parts_of_a_sum_arrive(kind, speakers):
    bridge = fit_bridge(kind, *speakers, WORDS)
    parts = [(near(speakers[0], "train"), 0.5), (near(speakers[0], "rain"), 0.5)]
    there = compose([(bridge(e), w) for e, w in parts])
    out = bridge(compose(parts))
    assert np.allclose(out.vectors, there.vectors, atol=1e-6) and out.space == "b"
    assert all(e.space == "b" for e, _ in out.parts[0]), "so that it can go on"
    said = bridge.explain(compose(parts), top=2)[0]
    assert {w for w, _ in said} == {"train", "rain"} and sum(p for _, p in said) > 0.8
    whole = Embedding(compose(parts).vectors, "a", "audio", ("no parts",))
    assert not np.allclose(out.vectors, bridge(whole).vectors, atol=1e-3) or kind == "linear"


def test_vocabulary_is_a_softmax_over_words(speakers):
    x = np.stack(list(speakers[0].vectors.values()))
    y = np.stack(list(speakers[1].vectors.values()))
    bridge = VocabularyBridge("a", "b", WORDS, x, y, temperature=0.1)
    query = near(speakers[0], "dog", 0.3)
    logits = query.vectors @ x.T / 0.1
    weights = np.exp(logits) / np.exp(logits).sum()
    assert np.allclose(bridge(query).vectors, unit(weights @ y), atol=1e-5)
    words = bridge.explain(query, top=6)[0]
    assert words[0][0] == "dog" and np.isclose(sum(p for _, p in words), 1)


def test_linear_recovers_a_linear_map():
    rng = np.random.default_rng(0)
    x = unit(rng.normal(size=(400, 12)))
    rotation = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    bridge = LinearBridge("a", "b", ["w"] * 400, x, x @ rotation, ridge=1e-6)
    query = unit(rng.normal(size=(5, 12)))
    out = bridge(Embedding(query, "a", "text", tuple("12345"))).vectors
    assert np.allclose(out, query @ rotation, atol=1e-3)


def test_identity_joins_only_a_space_with_itself(speakers):
    query = near(speakers[0], "dog")
    assert np.array_equal(fit_bridge("identity", speakers[0], speakers[0])(query).vectors,
                          query.vectors)  # fmt: skip
    with pytest.raises(SpaceMismatch, match="two spaces"):
        fit_bridge("identity", *speakers)


def test_errors(speakers):
    with pytest.raises(BindplugError, match="identity, vocabulary, linear"):
        fit_bridge("teleport", *speakers)
    with pytest.raises(BindplugError, match="one word"):
        fit_bridge("vocabulary", *speakers, [])
    with pytest.raises(SpaceMismatch, match="leads from 'a'"):
        fit_bridge("vocabulary", *speakers, WORDS)(near(speakers[1], "dog"))
    with pytest.raises(SpaceMismatch, match="no installed embedder has the space 'a'"):
        cross(near(speakers[0], "dog"), "nowhere", "vocabulary")


def test_crossing_within_a_space_is_identity(speakers):
    query = near(speakers[0], "dog")
    out, bridge = cross(query, "a")
    assert bridge.kind == "identity" and np.array_equal(out.vectors, query.vectors)


def test_default_vocabulary():
    words = default_vocabulary()
    assert len(words) == len(set(words)) > 900 and "dog" in words
    sounding = default_vocabulary("audio")
    assert len(sounding) == len(set(sounding)) > 100 and set(sounding) < set(words)
    assert "dog" in sounding and "banana" not in sounding


def test_only_sounds_are_said_in_words_of_things_that_sound():
    vectors = np.eye(1, 256)
    for modality, words in (("audio", default_vocabulary("audio")), ("text", default_vocabulary())):
        row = Embedding(vectors, "small", modality, ("x",))
        assert cross(row, "small-clip")[1].words == tuple(words)
        assert cross(row, "small-clip", "linear")[1].words == tuple(default_vocabulary())


def test_vocabularies_by_name_and_from_generators():
    row = Embedding(np.eye(1, 256), "small", "audio", ("x",))
    for given in ("sounding", default_vocabulary("audio"), iter(default_vocabulary("audio"))):
        bridge = cross(row, "small-clip", vocabulary=given)[1]
        assert bridge.words == tuple(default_vocabulary("audio"))
    with pytest.raises(BindplugError, match="no vocabulary 'soundin'"):
        cross(row, "small-clip", vocabulary="soundin")
    with pytest.raises(BindplugError, match="no vocabulary 'dogs'"):
        fit_bridge("vocabulary", "small", "small-clip", "dogs")


def test_word_lists_of_a_file(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("\ufeffdog\r\ncat\r\n\r\ndog\r\n", "utf-8")
    assert read_vocabulary(str(path)) == ["dog", "cat"]
    assert default_vocabulary("mixed") == default_vocabulary()  # of a mixture of prompts
    path.write_bytes(b"SQLite format 3\0")
    for name in (str(path), str(tmp_path), str(tmp_path / "absent"), "x\0", "x" * 5000):
        with pytest.raises(BindplugError, match="no vocabulary"):
            read_vocabulary(name)
    with pytest.raises(BindplugError, match="no modality 'smell'"):
        default_vocabulary("smell")


class Reader(Speaker):
    """A speaker that knows further words than those of the vocabulary."""

    def __init__(self, space, vectors, more):
        super().__init__(space, vectors)
        self.vectors.update(more)
        self.asked = []

    def embed(self, text):
        self.asked += text
        return super().embed(text)


@pytest.fixture
def readers():
    rng = np.random.default_rng(2)

    def reader(space, width):
        more = {"espresso": unit(rng.normal(size=(1, width)))[0]}
        return Reader(space, unit(rng.normal(size=(6, width))), more)

    return reader("a", 16), reader("b", 9)


def crossed(readers, embedding, bridge=None):
    there = Target("b", embedder=readers[1])
    return cross(replace(embedding, embedder=readers[0]), there, bridge, WORDS)[0].vectors


def test_a_text_that_no_vocabulary_holds_is_read_by_the_target(readers):
    text = readers[0].embed(["espresso", "a dog"])
    wanted = np.stack([readers[1].vectors[w] for w in ("espresso", "dog")])
    assert np.allclose(crossed(readers, text), wanted, atol=1e-6)
    assert "a photo of a dog" in readers[1].asked and "a a dog" not in readers[1].asked
    projected = fit_bridge("vocabulary", *readers, WORDS)(text).vectors
    assert np.array_equal(crossed(readers, text, "vocabulary"), projected)  # where it is asked for
    assert np.abs(projected[0] - wanted[0]).max() > 0.1


def test_only_what_embeds_its_label_is_read(readers):
    sound = near(readers[0], "dog")
    named = replace(readers[0].embed(["dog"]), labels=("espresso",))  # by its owner
    bridge = fit_bridge("vocabulary", *readers, WORDS)
    near_dog = replace(near(readers[0], "dog", 0.2), modality="mixed", labels=("dog",))
    for row in (sound, named, near_dog):
        assert np.array_equal(crossed(readers, row), bridge(row).vectors)


def test_of_a_sum_the_text_is_read_and_the_sound_crosses(readers):
    sound, text = near(readers[0], "dog"), readers[0].embed(["espresso"])
    both = compose([(sound, 0.5), (text, 0.5)])
    bridge = fit_bridge("vocabulary", *readers, WORDS)
    wanted = unit(bridge(sound).vectors + readers[1].vectors["espresso"])
    assert np.allclose(crossed(readers, both), wanted, atol=1e-6)
    rows = concatenate([replace(sound, times=(((0.0, 1.0),),)), text])
    assert np.allclose(crossed(readers, rows)[1], readers[1].vectors["espresso"], atol=1e-6)


def test_words_that_came_with_the_target_are_read_without_its_text_encoder(readers, caplog):
    words = ("Dog", "cat")
    rows = np.stack([readers[1].vectors[w.lower()] for w in words])
    there = Target("b", embedder=readers[1], words=words, word_rows=rows)
    text = replace(readers[0].embed(["espresso", "a dog"]), embedder=readers[0])
    out, bridge = cross(text, there)
    assert np.allclose(out.vectors[1], rows[0], atol=1e-6)
    assert np.array_equal(out.vectors[0], bridge(text).vectors[0])
    assert not readers[1].asked and "'espresso' becomes a mixture" in caplog.text
    query = build_query(text, there)
    assert query.metadata["bridge"].endswith(", some texts as the detector reads them")
    # A vocabulary that is asked for needs the text encoder anyhow.
    asked = cross(text, there, None, WORDS)[0]
    assert np.allclose(asked.vectors[0], readers[1].vectors["espresso"], atol=1e-6)


def test_a_text_that_the_target_cannot_read_crosses(readers, caplog):
    def read(text, embed=readers[1].embed):
        if any("'s" in t for t in text):
            raise BindplugError("it holds no word")
        return embed(text)

    readers[0].vectors["'s"] = readers[0].vectors["bell"]
    text = replace(readers[0].embed(["espresso", "'s"]), embedder=readers[0])
    there = Target("b", embedder=readers[1])
    bridge = fit_bridge("vocabulary", *readers, WORDS)
    readers[1].embed = read
    rows = cross(concatenate([text, text]), there, None, WORDS)[0].vectors
    assert np.allclose(rows[[0, 2]], readers[1].vectors["espresso"], atol=1e-6)  # the neighbours
    assert np.array_equal(rows[1], bridge(text).vectors[1])
    assert caplog.text.count('"\'s" becomes a mixture of other words in b: it holds no word') == 1


@pytest.mark.parametrize("which", [0, 1])
def test_weights_that_cannot_be_had_are_not_hidden(which, readers):
    def refuse(text):
        raise MissingDependency("not downloaded")

    bridge = fit_bridge("vocabulary", *readers, WORDS)
    text = replace(readers[0].embed(["espresso"]), embedder=readers[0])
    reader = text_reader(text, Target("b", embedder=readers[1]), bridge)
    readers[which].embed = refuse
    with pytest.raises(MissingDependency, match="not downloaded"):
        bridge(text, reader)


def test_a_text_in_many_sums_is_encoded_once(readers):
    sounds = concatenate([near(readers[0], "dog")] * 20)
    sums = compose([(sounds, 1.0), (readers[0].embed(["espresso"]), 1.0)])
    there, readers[1].asked = Target("b", embedder=readers[1]), []
    bridge = fit_bridge("vocabulary", *readers, WORDS)
    readers[0].asked, readers[1].asked = [], []
    sums = replace(sums, embedder=readers[0])
    rows = bridge(sums, text_reader(sums, there, bridge)).vectors
    assert readers[1].asked == [t.replace("{}", "espresso") for t in TEMPLATES]
    assert readers[0].asked == ["espresso"]
    wanted = unit(bridge(sounds[0]).vectors + readers[1].vectors["espresso"])
    assert np.allclose(rows, wanted, atol=1e-6)


def test_words_of_a_text_that_is_read_are_the_nearest_in_the_target(readers):
    """The projection would name those of the source space."""
    espresso = unit(readers[1].vectors["train"] + 0.3 * readers[1].vectors["rain"])
    readers[0].vectors["espresso"] = readers[0].vectors["cat"]
    readers[1].vectors["espresso"] = espresso
    text = replace(readers[0].embed(["espresso"]), embedder=readers[0])
    there = Target("b", embedder=readers[1])
    query = build_query(text, there, vocabulary=WORDS)
    assert np.allclose(query.vectors[0], espresso, atol=1e-6)
    assert query.heard[0][0][0] == "train" and query.word_probabilities[0, 3] == 1
    assert query.word_probabilities[0, 1] < 0.01
    assert query.metadata["bridge"].endswith("texts as the detector reads them")
    by_words = build_query(text, there, "vocabulary", vocabulary=WORDS)
    assert by_words.heard[0][0][0] == "cat" and "reads" not in by_words.metadata["bridge"]
    sound = replace(near(readers[0], "dog"), embedder=readers[0])
    assert "reads" in build_query(sound, there, None, None, text, WORDS).metadata["bridge"]
    both = compose([(sound, 1.0), (text, 1.0)])
    words = dict(build_query(both, there, vocabulary=WORDS).heard[0])
    assert words["dog"] > 0.4 and words["train"] > 0.3 and "cat" not in words
