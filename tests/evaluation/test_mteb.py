"""mteb's own evaluation, on tasks made up here, gives the figures that bindplug's cosines give."""

import subprocess
import sys

import datasets
import mteb
import numpy as np
import pytest
import soundfile
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.abstasks.zeroshot_classification import AbsTaskZeroShotClassification
from mteb.models.models_protocols import EncoderProtocol
from PIL import Image
from torch.utils.data import DataLoader

import bindplug
from bindplug import BindplugError, SpaceMismatch
from bindplug.bridge import Target, cross
from bindplug.evaluation.mteb import MtebEncoder

NAMES = ["cat", "dog", "horse", "rain", "rooster"]
LABELS = [f"the sound of a {name}" for name in NAMES]


def metadata(name, kind, modalities, category, score):
    return TaskMetadata(
        name=name, description="Made up.", type=kind, modalities=modalities, category=category,
        main_score=score, dataset={"path": "none", "revision": "1"}, eval_splits=["test"],
        eval_langs=["eng-Latn"], reference=None, date=None, domains=[], task_subtypes=[],
        license=None, annotations_creators=None, dialect=[], sample_creation=None,
        bibtex_citation="",
    )  # fmt: skip


class Naming(AbsTaskZeroShotClassification):
    """Five recordings to be named; one label is wrong on purpose."""

    metadata = metadata(
        "MadeUpNaming", "AudioZeroshotClassification", ["audio", "text"], "a2t", "accuracy"
    )
    input_column_name = "audio"
    label_column_name = "label"

    def __init__(self, audio):
        super().__init__()
        self.audio = audio

    def load_data(self, **kwargs):
        rows = {"audio": self.audio, "label": [0, 1, 2, 3, 0]}
        data = datasets.Dataset.from_dict(rows)
        if not isinstance(self.audio[0], dict):
            data = data.cast_column("audio", datasets.Audio())
        self.dataset, self.data_loaded = datasets.DatasetDict(test=data), True

    def get_candidate_labels(self):
        return LABELS


class Retrieving(AbsTaskRetrieval):
    """Which image belongs to a sound: the rocket to the first, and so on, which is mostly wrong."""

    metadata = metadata(
        "MadeUpRetrieving", "Any2AnyRetrieval", ["audio", "image"], "a2i", "ndcg_at_10"
    )
    images = ("rocket.jpg", "coffee.png", "chelsea.png")

    def __init__(self, media):
        super().__init__()
        self.media = media

    def load_data(self, **kwargs):
        sounds = [str(self.media / f"{name}.wav") for name in NAMES[:3]]
        images = [str(self.media / name) for name in self.images]
        queries = datasets.Dataset.from_dict({"id": ["q0", "q1", "q2"], "audio": sounds})
        corpus = datasets.Dataset.from_dict({"id": ["d0", "d1", "d2"], "image": images})
        self.queries = {"test": queries.cast_column("audio", datasets.Audio())}
        self.corpus = {"test": corpus.cast_column("image", datasets.Image())}
        self.relevant_docs = {"test": {f"q{i}": {f"d{i}": 1} for i in range(3)}}
        self.data_loaded = True


@pytest.fixture(scope="module")
def small():
    return bindplug.load_embedder("small", "cpu")


@pytest.fixture(scope="module")
def clip():
    return bindplug.load_embedder("small-clip", "cpu")


def run(model, task):
    [result] = mteb.evaluate(model, task, cache=None, show_progress_bar=False).task_results
    return result.scores["test"][0]


@pytest.fixture
def paths(media):
    return [str(media / f"{name}.wav") for name in NAMES]


def test_the_interface(small):
    model = MtebEncoder(small)
    assert isinstance(model, EncoderProtocol)
    about = model.mteb_model_meta
    assert about.name == "bindplug/small"
    assert about.modalities == ["text", "image", "audio", "video"]


@pytest.mark.parametrize("form", ["path", "bytes", "array"])
def test_zero_shot_naming(small, paths, form):
    """By embeddings that bindplug makes of the files, however the data set holds them."""
    audio = paths
    if form == "bytes":
        audio = [{"bytes": open(path, "rb").read(), "path": None} for path in paths]  # noqa: SIM115
    elif form == "array":
        audio = []
        for path in paths:
            data, rate = soundfile.read(path, dtype="float32")
            audio.append({"array": data, "sampling_rate": rate})
    sounds, texts = small.embed(audio=paths), small.embed(text=LABELS)
    named = (sounds.vectors @ texts.vectors.T).argmax(axis=1)
    want = np.mean(named == [0, 1, 2, 3, 0])
    assert 0.5 < want < 1
    assert run(MtebEncoder(small), Naming(audio))["accuracy"] == pytest.approx(want)


def hits(queries, documents):
    """The share of queries whose own document is the nearest."""
    cosines = queries.vectors @ documents.vectors.T
    return np.mean(cosines.argmax(axis=1) == np.arange(len(cosines)))


def ndcg(queries, documents):
    """With one relevant document at rank r, 1 / log2(1 + r); the mean over queries."""
    cosines = queries.vectors @ documents.vectors.T
    ranks = 1 + (cosines > np.diag(cosines)[:, None]).sum(axis=1)
    return np.mean(1 / np.log2(1 + ranks))


@pytest.mark.parametrize("bridge", [None, "linear"])
def test_retrieval_across_a_bridge(small, clip, media, paths, bridge):
    """Sounds cross into CLIP's space, images are CLIP's own."""
    images = clip.embed(image=[media / name for name in Retrieving.images])
    sounds, _ = cross(small.embed(audio=paths[:3]), Target(clip.space, embedder=clip), bridge)
    scores = run(MtebEncoder(small, clip, bridge), Retrieving(media))
    assert scores["ndcg_at_10"] == pytest.approx(ndcg(sounds, images), abs=1e-4)
    assert scores["hit_rate_at_1"] == pytest.approx(hits(sounds, images), abs=1e-4)


def test_retrieval_within_a_space(small, media, paths):
    images = small.embed(image=[media / name for name in Retrieving.images])
    scores = run(MtebEncoder(small), Retrieving(media))
    want = ndcg(small.embed(audio=paths[:3]), images)
    assert scores["ndcg_at_10"] == pytest.approx(want, abs=1e-4)


def test_options_reach_their_modality(small, paths):
    data = datasets.Dataset.from_dict({"audio": paths[:1]})
    loader = DataLoader(data.cast_column("audio", datasets.Audio()))
    rows = MtebEncoder(small, options={"clips": 1, "upright": True}).encode(loader)
    assert np.array_equal(rows, small.embed(audio=paths[0], clips=1).vectors)
    assert not np.allclose(rows, small.embed(audio=paths[0]).vectors, atol=1e-3)


def test_a_text_with_an_image_is_composed(small, media):
    image = Image.open(media / "rocket.jpg").convert("RGB")
    data = datasets.Dataset.from_dict({"text": ["a rocket"], "image": [image], "id": ["0"]})
    parts = [(small.embed(text="a rocket"), 1), (small.embed(image=image), 1)]
    rows = MtebEncoder(small).encode(DataLoader(data), show_progress_bar=False)
    assert np.allclose(rows, bindplug.compose(parts).vectors, atol=1e-6)


def test_a_film_is_read_from_its_bytes(small, make_video):
    path = make_video("green")
    data = datasets.Dataset.from_dict({"video": [path]}).cast_column("video", datasets.Video())
    rows = MtebEncoder(small).encode(DataLoader(data))
    assert np.allclose(rows, small.embed(video=path).vectors, atol=1e-6)


def test_a_row_that_cannot_be_read_is_named(small, media, paths):
    good = open(media / "rocket.jpg", "rb").read()  # noqa: SIM115
    images = [{"bytes": good, "path": None}, {"bytes": good[:300], "path": None}]
    data = datasets.Dataset.from_dict({"image": images}).cast_column("image", datasets.Image())
    with pytest.raises(BindplugError, match="image of row 1: cannot be read"):
        MtebEncoder(small).encode(DataLoader(data))
    sounds = [{"bytes": open(paths[0], "rb").read(), "path": None},  # noqa: SIM115
              {"bytes": b"RIFF", "path": "bark.wav"}]  # fmt: skip
    data = datasets.Dataset.from_dict({"audio": sounds}).cast_column("audio", datasets.Audio())
    with pytest.raises(BindplugError, match=r"bark\.wav \(row 1\)"):
        MtebEncoder(small).encode(DataLoader(data))


def test_the_revision_is_of_all_that_decides(small, clip, monkeypatch):
    """mteb keeps results by it."""
    words = bindplug.fit_bridge("vocabulary", small, clip, ["cat", "dog"])
    other = bindplug.fit_bridge("vocabulary", small, clip, ["cat", "cow"])

    def revision(*args, **kwargs):
        return MtebEncoder(*args, **kwargs).mteb_model_meta.revision

    made = [
        revision(small), revision(clip), revision(small, clip), revision(small, clip, "linear"),
        revision(small, clip, words), revision(small, clip, other),
        revision(small, options={"clips": 1}),
    ]  # fmt: skip
    assert len(set(made)) == len(made)
    assert revision(small, clip, words) == made[4] and revision(small) == made[0]
    monkeypatch.setattr(small, "fingerprint", "")
    assert revision(small) != revision(small)


def test_what_is_refused(small, clip, paths):
    with pytest.raises(BindplugError, match="give it as target"):
        MtebEncoder(small, bridge="linear")
    text = DataLoader(datasets.Dataset.from_dict({"number": [1]}))
    with pytest.raises(BindplugError, match=r"no text, image, audio or video among \['number'\]"):
        MtebEncoder(small).encode(text)
    sound = datasets.Dataset.from_dict({"audio": [{"bytes": b"nothing", "path": None}]})
    with pytest.raises(BindplugError, match="cannot be decoded as audio"):
        MtebEncoder(small).encode(DataLoader(sound))
    with pytest.raises(BindplugError, match="does not embed audio"):
        MtebEncoder(clip).encode(DataLoader(sound))
    wrong = bindplug.fit_bridge("linear", clip, small, ["cat", "dog"])
    with pytest.raises(SpaceMismatch, match="leads from 'small-clip' to 'small', and 'small'"):
        MtebEncoder(small, clip, wrong)


def test_without_mteb():
    code = (
        "import sys; sys.modules['mteb'] = None\n"
        "try: import bindplug.evaluation.mteb\n"
        "except Exception as err: print(type(err).__name__, err)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert out == "MissingDependency mteb is not installed; run: pip install 'bindplug[mteb]'\n"
