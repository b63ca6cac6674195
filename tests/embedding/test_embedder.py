"""What an embedder promises beyond one call: streams, times, batches, precision, its cache."""

import io
import os

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import bindplug
from bindplug import BindplugError, Embedding
from bindplug.cache import Cache
from bindplug.embedding.embedder import Embedder
from bindplug.imagebind import load_imagebind

RATE = 16_000
BLOCK = 102_400 / 44_100  # seconds of the small embedder's blocks; one starts each half of it


@pytest.fixture(scope="module")
def small():
    return bindplug.load_embedder("small", "cpu")


@pytest.fixture(scope="module")
def imagebind(imagebind_folder):
    return bindplug.load_embedder(f"local:{imagebind_folder}", "cpu")


@pytest.fixture(params=["small", "imagebind"])
def name(request, imagebind_folder):
    return "small" if request.param == "small" else f"local:{imagebind_folder}"


@pytest.fixture
def either(name, small, imagebind):
    return small if name == "small" else imagebind


@pytest.fixture(scope="module")
def sounds():
    rng = np.random.default_rng(0)
    lengths = (0.3, 1.0, 2.0, 2.5, 4.1, 7.0, 9.9)
    return [(rng.normal(size=int(s * RATE)).astype(np.float32) * 0.1, RATE) for s in lengths]


def test_all_senses(imagebind, make_video):
    rng = np.random.default_rng(0)
    inputs = {
        "image": Image.new("RGB", (50, 40), "red"),
        "video": make_video("red"),
        "text": "a dog",
        "audio": (rng.normal(size=RATE), RATE),
        "depth": rng.uniform(1, 5, (60, 80)),
        "thermal": rng.integers(0, 255, (60, 80), dtype=np.uint8),
        "imu": (rng.normal(size=(6, 2400)), 400),
    }
    for modality, value in inputs.items():
        one = imagebind.embed(**{modality: value})
        assert one.modality == modality and one.vectors.shape == (1, 32)
        several = imagebind.embed(**{modality: (v for v in [value, value])})
        assert np.allclose(several.vectors, one.vectors, atol=1e-5) and len(several) == 2
    still = imagebind.embed(image=inputs["image"])
    assert still.times == ((),)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
def test_results_do_not_depend_on_the_batch(either, name, sounds, batch_size):
    other = bindplug.load_embedder(name, "cpu", batch_size=batch_size, workers=3)
    want = either.embed(audio=sounds)
    got = other.embed(audio=iter(sounds))
    assert got.labels == want.labels
    assert np.abs(got.vectors - want.vectors).max() < 1e-5


def test_short_sounds_are_the_mean_of_the_references_three_clips(
    imagebind, imagebind_folder, sounds
):
    from bindplug.transforms.audio import transform_audio

    model = load_imagebind(imagebind_folder, ["audio"])
    for sound in sounds:
        with torch.inference_mode():
            x = transform_audio(sound, model.config.audio)
            want = torch.nn.functional.normalize(model({"audio": x[None]})["audio"], dim=-1)
        assert np.abs(imagebind.embed(audio=sound).vectors - want.numpy()).max() < 2e-5


def test_clips_of_imagebind(imagebind, sounds):
    nine = sounds[-1]
    assert imagebind.embed(audio=nine).times == (((0.0, 2.0), (3.95, 5.95), (7.9, 9.9)),)
    every = imagebind.embed(audio=nine, clips="all", average=False)
    assert len(every) == 5 and every.times[0] == ((0.0, 2.0),) and every.times[4] == ((7.9, 9.9),)


def test_clips_of_the_small_embedder(small, sounds):
    every = small.embed(audio=sounds[-1], average=False)
    starts = [t[0][0] for t in every.times]
    assert np.allclose(starts, np.arange(len(every)) * BLOCK / 2) and len(every) == 8
    ends = [t[0][1] for t in every.times]
    assert np.allclose(ends, np.minimum(np.add(starts, BLOCK), 9.9))
    assert small.embed(audio=sounds[-1]).times == (tuple(t[0] for t in every.times),)
    three = small.embed(audio=sounds[-1], clips=3).times[0]
    assert len(three) == 3 and three[0][0] == 0 and three[2][1] == pytest.approx(9.9, abs=0.03)


def test_clips_and_their_times(either, sounds):
    nine = sounds[-1]
    every = either.embed(audio=nine, clips="all", average=False)
    mean = either.embed(audio=nine, clips="all")
    assert np.allclose(mean.vectors[0], bindplug.embedding.unit(every.vectors.mean(0)), atol=1e-5)
    assert either.embed(audio=sounds[0]).times == (((0.0, pytest.approx(0.3, abs=1e-3)),),)
    assert every[2:4].times == every.times[2:4]
    with pytest.raises(BindplugError, match="clips 'some'"):
        either.embed(audio=nine, clips="some")
    with pytest.raises(BindplugError, match="audio has no option 'upright'; it has clips"):
        either.embed(audio=nine, upright=True)


def test_kinds_of_input(either, sounds, tmp_path):
    wave, _ = sounds[3]
    path = tmp_path / "a.wav"
    soundfile.write(path, wave, RATE, subtype="FLOAT")
    want = either.embed(audio=path).vectors
    for source in (str(path), io.BytesIO(path.read_bytes()), (torch.from_numpy(wave), RATE)):
        assert np.allclose(either.embed(audio=source).vectors, want, atol=1e-6)
    assert len(either.embed(audio=(str(path), str(path)))) == 2
    assert len(either.embed(text=("a dog", "a cat"))) == 2


def test_tensors_and_frames(either):
    rng = np.random.default_rng(0)
    array = rng.integers(0, 255, (40, 50, 3), np.uint8)
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    want = either.embed(image=array).vectors
    assert np.array_equal(either.embed(image=tensor).vectors, want)
    assert np.array_equal(either.embed(image=tensor / 255).vectors, want)
    clip = either.embed(video=(array[None].repeat(30, 0), 10), clips=2)
    assert len(clip) == 1 and clip.times == (((0.0, 2.0), (1.0, 3.0)),)
    for wrong, words in (
        ({"image": tensor.int()}, "image array"),
        ({"video": (array, 10)}, "video"),
    ):
        with pytest.raises(BindplugError, match=words):
            either.embed(**wrong)


def test_names_on_the_hub(imagebind, imagebind_folder, tmp_path, monkeypatch):
    """A repository in the hub's cache, found without a network."""
    from huggingface_hub import constants

    root = tmp_path / "models--someone--model"
    commit = "0" * 40
    snapshot = root / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(commit)
    for name in ("config.json", "model.safetensors"):
        (snapshot / name).write_bytes((imagebind_folder / name).read_bytes())
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("BINDPLUG_OFFLINE", "1")
    there = bindplug.load_embedder("hf:someone/model", "cpu")
    assert np.array_equal(there.embed(text="dog").vectors, imagebind.embed(text="dog").vectors)
    with pytest.raises(BindplugError, match="hf:someone/absent: cannot be fetched"):
        bindplug.load_embedder("hf:someone/absent", "cpu")


def test_orientation_is_an_option(either, tmp_path):
    image = Image.new("RGB", (40, 90), "white")
    image.paste("red", (0, 0, 40, 45))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    as_is = either.embed(image=tmp_path / "a.jpg").vectors
    upright = either.embed(image=tmp_path / "a.jpg", upright=True).vectors
    turned = either.embed(image=Image.open(tmp_path / "a.jpg").rotate(-90, expand=True)).vectors
    assert not np.allclose(as_is, upright, atol=1e-3) and np.allclose(upright, turned, atol=1e-5)


def test_old_truncation_loses_the_end(imagebind):
    text = "dog " * 100
    current, old = (imagebind.embed(text=text, truncation=t).vectors for t in ("current", "old"))
    assert not np.allclose(current, old, atol=1e-4)
    assert np.array_equal(current, imagebind.embed(text=text).vectors)
    short = imagebind.embed(text="dog", truncation="old").vectors
    assert np.allclose(short, imagebind.embed(text="dog").vectors)
    with pytest.raises(BindplugError, match="current or old"):
        imagebind.embed(text=text, truncation="new")


def test_a_stream_goes_on_after_bad_inputs_and_reads_only_ahead(either, sounds):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield sounds[0] if len(taken) % 3 else "absent.wav"

    rows = either.stream("audio", endless())
    first = [next(rows) for _ in range(40)]
    rows.close()
    assert [r.index for r in first] == list(range(40))
    assert all((r.error is not None) == (r.index % 3 == 2) for r in first)
    assert "absent.wav" in str(first[2].error) and len(taken) < 120


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(either, name, sounds, dtype, media):
    half = bindplug.load_embedder(name, "cpu", dtype=dtype)
    pictures = [str(media / f"{n}.png") for n in ("garden", "farm")]
    for modality, value in (("audio", sounds[:2]), ("text", ["a dog", "rain"]),
                            ("image", pictures)):  # fmt: skip
        got, want = (e.embed(**{modality: value}).vectors for e in (half, either))
        assert (got * want).sum(1).min() > 0.99
        assert np.allclose(np.linalg.norm(got, axis=1), 1, atol=1e-6)
    assert half.logit_scale("text") == either.logit_scale("text")
    with pytest.raises(BindplugError, match="float8"):
        bindplug.load_embedder(name, "cpu", dtype="float8")


def test_logit_scale_is_what_imagebind_multiplies_by(imagebind, imagebind_folder):
    model = load_imagebind(imagebind_folder, ["text"])
    from bindplug.transforms.text import transform_text

    with torch.inference_mode():
        norm = model({"text": transform_text(["a dog"], model.config.text)})["text"].norm()
    assert imagebind.logit_scale("text") == pytest.approx(float(norm), rel=1e-5)
    assert imagebind.logit_scale("image") == 1


def test_reading_and_encoding_are_the_halves_of_a_stream(either, sounds):
    rows = [either.read("audio", item, clips="all") for item in sounds]
    assert all(row.vectors is None and len(row.clips) == len(row.times) for row in rows)
    vectors = np.concatenate([row.vectors for row in either.encode("audio", rows)])
    assert np.allclose(vectors, either.embed(audio=sounds, clips="all").vectors, atol=1e-6)
    assert "cannot be" in str(either.read("audio", io.BytesIO(b"RIFF")).error)
    with pytest.raises(BindplugError, match="has no option 'clip'"):
        either.read("audio", sounds[0], clip=1)


class Counted(Embedder):
    """Counts the clips that meet the network."""

    def encode(self, modality, batch, average=True):
        self.count = getattr(self, "count", 0) + sum(r.clips is not None for r in batch)
        return super().encode(modality, batch, average)


def test_cache(either, sounds, tmp_path):
    def fresh(**kw):
        cache = Cache(tmp_path / "cache.db")
        settings = {"cache": cache, "fingerprint": "1", **kw}
        return Counted(either.network, "x", **settings)

    path = tmp_path / "a.wav"
    soundfile.write(path, sounds[4][0], RATE)
    inputs = [*sounds, str(path)]
    first = fresh()
    want = first.embed(audio=inputs)
    assert first.count == len(inputs)
    again = fresh()
    got = again.embed(audio=inputs)
    assert again.count == 0
    assert np.array_equal(got.vectors, want.vectors) and got.times == want.times
    os.rename(path, tmp_path / "b.wav")
    soundfile.write(path, sounds[2][0], RATE)
    again.embed(audio=[str(tmp_path / "b.wav")])
    assert again.count == 0, "the same content under another name was embedded again"
    again.embed(audio=[str(path)])
    assert again.count == 1, "other content under a known name was not"
    again.embed(audio=inputs[:1], clips=2)
    other = fresh(fingerprint="2")
    other.embed(audio=inputs[:1])
    assert again.count == 2 and other.count == 1
    (tmp_path / "no.db").write_text("this is no database, but a text of some length" * 20)
    with pytest.raises(BindplugError, match=r"no\.db"):
        Cache(tmp_path / "no.db")


def test_embedding_keeps_its_times():
    times = (((0.0, 2.0),), ((2.0, 4.0),))
    e = Embedding(np.eye(2), "s", "audio", ("a", "b"), times)
    both = bindplug.embedding.concatenate([e, e[1]])
    assert both.times == (*times, times[1])
    assert Embedding(np.eye(2), "s", "audio", ("a", "b")).times == ((), ())
    with pytest.raises(BindplugError, match="times"):
        Embedding(np.eye(2), "s", "audio", ("a", "b"), times[:1])
