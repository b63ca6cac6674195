"""Log-mel features against the reference's (tests/golden/imagebind_transforms)."""

import json

import numpy as np
import pytest
import torch

from bindplug.errors import BindplugError
from bindplug.imagebind import AudioConfig
from bindplug.transforms.audio import (
    clip_bounds,
    fbank,
    load_audio,
    mel_banks,
    transform_audio,
)
from bindplug.transforms.resampling import resample

NAMES = [
    "chirp_44k1_stereo_7s",
    "tone_noise_16k_mono_1s",
    "chirp_8k_mono_0s3",
    "noise_48k_mono_5s",
    "chirp_16k_mono_10s",
    "dc_44k1_stereo_2s61",
    "chirp_22k05_mono_3s3_float",
    "odd_16k_mono_44101samples",
    "silence_16k_mono_2s",
    "chirp_16k_mono_400samples",
    "chirp_24bit_32k_mono_4s",
]


def energies(features):
    return np.exp(features.astype(np.float64) * 9.138 - 4.268)


@pytest.fixture(scope="module")
def folder(golden):
    return golden / "imagebind_transforms"


@pytest.fixture(scope="module")
def features(folder):
    return np.load(folder / "audio_features.npz")


@pytest.mark.parametrize("name", NAMES)
def test_features(name, folder, features):
    out = transform_audio(folder / "audio" / f"{name}.wav", AudioConfig()).numpy()
    assert out.shape == (3, 1, 128, 204)
    # The FFT's last bit differs between processors, which a logarithm of almost nothing (pure
    # chirps) blows up: mel energies agree everywhere, their logarithms on the whole.
    expected = energies(features[name])
    assert np.abs(energies(out) - expected).max() <= 1e-5 * expected.max()
    difference = np.abs(out - features[name])
    assert difference.mean() < 3e-5
    assert difference.max() < (5e-3 if "noise" not in name else 2e-4)


@pytest.mark.parametrize("name", [n for n in NAMES if "16k" not in n and "dc" not in n])
def test_resampled_samples(name, folder, features):
    wave, rate = load_audio(folder / "audio" / f"{name}.wav")
    out = resample(wave, rate)[0].numpy()
    meta = json.loads((folder / "audio_meta.json").read_text())[name]
    assert len(out) == meta["resampled_len"]
    head, tail = (features[f"{name}/resampled_{end}_ch0"] for end in ("head", "tail"))
    assert np.abs(out[: len(head)] - head).max() < 3e-6
    assert np.abs(out[-len(tail) :] - tail).max() < 3e-6


def test_clip_bounds(folder):
    for name, meta in json.loads((folder / "audio_meta.json").read_text()).items():
        bounds = clip_bounds(meta["resampled_len"], 3)
        assert [list(b) for b in bounds] == meta["clip_sample_ranges"], name


def test_length_is_rounded_in_float32_for_very_long_files():
    assert resample(torch.zeros(1, 44_100 * 1200 + 1), 44_100).shape[1] == 19_200_000


def test_fbank(folder):
    unit = np.load(folder / "fbank_unit.npz")
    assert np.array_equal(mel_banks(128)[:, :256], unit["mel_banks"])
    out = fbank(unit["waveform"], 128)
    assert np.abs(out - unit["fbank"]).max() < 5e-4
    assert np.abs(out - unit["fbank"]).mean() < 1e-5


def test_against_torchaudio():
    try:  # a torchaudio built for another CUDA than torch raises RuntimeError or OSError
        import torchaudio
        from torchaudio.compliance import kaldi
    except (ImportError, RuntimeError, OSError) as err:
        pytest.skip(f"torchaudio does not import: {err}")
    wave = torch.randn(2, 30_000, generator=torch.Generator().manual_seed(0)) * 0.1
    for rate in (8_000, 22_050, 44_100, 48_000):
        theirs = torchaudio.functional.resample(wave, rate, 16_000)
        assert (resample(wave, rate) - theirs).abs().max() < 1e-6
    theirs = kaldi.fbank(
        wave[:1],
        htk_compat=True,
        sample_frequency=16_000,
        use_energy=False,
        window_type="hanning",
        num_mel_bins=128,
        dither=0.0,
        frame_length=25,
        frame_shift=10,
    )
    assert (torch.from_numpy(fbank(wave[0].numpy(), 128)) - theirs).abs().max() < 1e-3


def test_arrays(folder):
    path = folder / "audio" / "tone_noise_16k_mono_1s.wav"
    wave, rate = load_audio(path)
    same = transform_audio((wave.numpy(), rate), AudioConfig())
    assert torch.equal(same, transform_audio(path, AudioConfig()))
    ints = (wave[0].numpy() * 32768).astype(np.int16)
    assert torch.equal(same, transform_audio((ints, rate), AudioConfig()))


@pytest.mark.parametrize(
    ("array", "rate", "words"),
    [
        (np.zeros(0, np.float32), 16_000, "no samples"),
        (np.zeros(399, np.float32), 16_000, "25 ms"),
        (np.full(20_000, np.nan, np.float32), 16_000, "NaN"),
        (np.zeros((2, 2, 2), np.float32), 16_000, "shape"),
        (np.zeros(20_000, np.float32), 0, "rate"),
    ],
)
def test_bad_arrays(array, rate, words):
    with pytest.raises(BindplugError, match=words):
        transform_audio((array, rate), AudioConfig())
