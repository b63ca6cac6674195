"""Which part of a long sound counts, loudness, and several sounds at once."""

import numpy as np
import pytest
import soundfile

import bindplug
from bindplug import BindplugError
from bindplug.generation.audio_prompt import embed_audio_prompt, mix_audio

RATE = 16_000


@pytest.fixture(scope="module")
def small():
    return bindplug.load_embedder("small", "cpu")


@pytest.fixture(scope="module")
def crow(media):
    wave, rate = soundfile.read(media / "rooster.wav")
    return wave[: 2 * rate], rate


def test_the_most_confident_window(small, crow):
    wave, rate = crow
    wave = np.resize(wave, 2 * rate)
    hush = np.random.default_rng(0).normal(size=6 * rate) * 1e-3
    long = np.concatenate([hush, wave, hush])
    alone = small.embed(audio=(wave, rate)).vectors[0]
    cosine = {w: float(embed_audio_prompt(small, (long, rate), w).vectors[0] @ alone)
              for w in ("mean", "all", "most_confident")}  # fmt: skip
    assert cosine["most_confident"] > max(cosine["mean"], cosine["all"]) > 0.5
    assert len(embed_audio_prompt(small, (long, rate), "most-confident")) == 1
    with pytest.raises(BindplugError, match="mean, all or most_confident"):
        embed_audio_prompt(small, (long, rate), "loudest")
    given = embed_audio_prompt(small, (long, rate), clips="all").vectors
    assert np.array_equal(given, embed_audio_prompt(small, (long, rate), "all").vectors)
    with pytest.raises(BindplugError, match="window 'all' takes all clips"):
        embed_audio_prompt(small, (long, rate), "all", clips=3)


def test_windows_of_imagebind(imagebind_folder):
    embedder = bindplug.load_embedder(f"local:{imagebind_folder}", "cpu")
    sound = (np.random.default_rng(0).normal(size=9 * RATE) * 0.1, RATE)
    mean, every, one = (
        embed_audio_prompt(embedder, sound, w).vectors for w in ("mean", "all", "most_confident")
    )
    assert np.array_equal(mean, embedder.embed(audio=sound, clips=3).vectors)
    assert np.array_equal(every, embedder.embed(audio=sound, clips="all").vectors)
    assert not np.array_equal(mean, every)
    clips = embedder.embed(audio=sound, clips="all", average=False).vectors
    assert len(clips) == 5 and (clips == one).all(axis=1).any()


def test_loudness_decides_only_if_asked(small, crow):
    wave, rate = crow
    loud, quiet = ((wave, rate), (wave * 0.02, rate))
    same = [embed_audio_prompt(small, s, normalize="peak").vectors[0] for s in (loud, quiet)]
    own = [embed_audio_prompt(small, s, normalize="none").vectors[0] for s in (loud, quiet)]
    assert same[0] @ same[1] > 0.9999 > own[0] @ own[1]
    assert np.array_equal(embed_audio_prompt(small, loud).vectors, small.embed(audio=loud).vectors)
    with pytest.raises(BindplugError, match="none or peak"):
        embed_audio_prompt(small, loud, normalize="full")


def test_at_once(media):
    wave, rate = mix_audio([str(media / "dog.wav"), str(media / "rain.wav")])
    dog, _ = mix_audio([str(media / "dog.wav")] * 2)
    rain, _ = mix_audio([str(media / "rain.wav")] * 2)
    assert rate == RATE and wave.shape[1] == max(dog.shape[1], rain.shape[1])
    want = np.zeros_like(wave)
    want[:, : dog.shape[1]] += dog / 2
    want[:, : rain.shape[1]] += rain / 2
    assert np.allclose(wave, want, atol=1e-6) and np.isclose(np.abs(dog).max(), 0.9, atol=1e-5)
    high = np.sin(np.arange(44_100)).astype(np.float32)
    assert mix_audio([str(media / "dog.wav"), (high, 44_100)])[1] == 44_100
    with pytest.raises(BindplugError, match="two sounds or more"):
        mix_audio([str(media / "dog.wav")])
    with pytest.raises(BindplugError, match="no such file"):
        mix_audio(["absent.wav", str(media / "dog.wav")])
