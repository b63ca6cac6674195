"""Films, sounds and streams as they come: clocks, cuts, sizes, rates, names and file objects."""

import io
import logging
import os
import struct
import subprocess
import threading
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
import torch

from bindplug.errors import BindplugError
from bindplug.imagebind import AudioConfig, VisionConfig
from bindplug.transforms import media
from bindplug.transforms.audio import distinct_clips, load_audio
from bindplug.transforms.resampling import resample
from bindplug.transforms.video import transform_video
from bindplug.transforms.vision import load_image

RATE = 16_000
SMALL = VisionConfig(image_size=64)


def tone(seconds=2, hz=440, rate=RATE):
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(seconds * rate) / rate)).astype(np.float32)


def film(path, frames=100, size=(64, 48), audio=(), fps=25, format=None):
    """Gray frames that grow brighter; audio: (wave, start in seconds) pieces of 16-bit sound."""
    with av.open(str(path), "w", format=format) as out:
        video = out.add_stream("mpeg4", rate=fps)
        video.width, video.height, video.gop_size, video.max_b_frames = *size, 50, 0
        sound = out.add_stream("pcm_s16le", rate=RATE, layout="mono") if audio else None
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(
                np.full((size[1], size[0], 3), 2 * i, np.uint8), format="rgb24"
            )
            frame.pts, frame.time_base = i, Fraction(1, fps)
            out.mux(video.encode(frame))
        out.mux(video.encode())
        for wave, start in audio:
            samples = (wave[None] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, round(start * RATE)
            frame.time_base = Fraction(1, RATE)
            out.mux(sound.encode(frame))
    return path


def remux(source, path, shift=0.0, skip=0):
    """Copy packets, each some seconds later, without the first few of the video."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        streams = {s.index: new.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "video" and skip:
                skip -= 1
                continue
            ticks = round(shift / packet.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
            packet.stream = streams[packet.stream.index]
            new.mux(packet)
    return path


@pytest.mark.parametrize("ending", ["mkv", "avi"])
def test_clocks_count_from_the_earliest_stream(tmp_path, ending):
    zero = film(tmp_path / f"zero.{ending}", audio=[(tone(1), 1.0)])
    late = remux(zero, tmp_path / "late.mkv", shift=10.0)
    times = [[t for t, _ in media.frames(str(p), "x")] for p in (zero, late)]
    assert np.allclose(times[0], np.arange(100) / 25, atol=2e-3)
    assert np.allclose(*times, atol=2e-3)


def test_silence_where_there_is_no_sound(tmp_path):
    path = str(film(tmp_path / "x.mkv", audio=[(tone(1), 1.0), (tone(1, 900), 3.0)]))
    assert media.sound_start(path, "x") == pytest.approx(1.0)
    windows = [w[0] for w, _ in media.sound_windows(path, "x", 1.0)]
    loud = [np.abs(w).max() > 0.4 for w in windows]
    assert loud == [False, True, False, True]
    assert [np.abs(np.fft.rfft(windows[i])).argmax() for i in (1, 3)] == [440, 900]
    assert load_audio(path)[0].shape[1] == 2 * RATE  # the sound alone
    assert media.sound_start(str(film(tmp_path / "mute.mkv")), "x") is None


def test_an_edit_list_hides_frames(tmp_path):
    cut = remux(film(tmp_path / "x.mp4"), tmp_path / "cut.mp4", shift=-1.0)
    assert media.count_frames(str(cut), "x") == (75, 25.0)
    pictures = [p for _, p in media.frames(str(cut), "x")]
    x, times = transform_video(str(cut), SMALL)
    assert torch.equal(x, transform_video((np.stack(pictures), 25), SMALL)[0])
    assert len(pictures) == 75 and times[-1] == (1.0, 3.0)


def test_a_film_that_starts_between_key_frames(tmp_path):
    cut = remux(film(tmp_path / "x.mkv"), tmp_path / "cut.mkv", skip=20)
    pictures = [p for _, p in media.frames(str(cut), "x")]
    x, _ = transform_video(str(cut), SMALL)
    assert torch.equal(x, transform_video((np.stack(pictures), 25), SMALL)[0])


def test_a_size_that_changes(tmp_path):
    parts = [
        film(tmp_path / f"{i}.m2ts", 50, size, format="mpegts").read_bytes()
        for i, size in enumerate([(64, 48), (48, 64)])
    ]
    (tmp_path / "x.ts").write_bytes(b"".join(parts))
    times, pictures = zip(*media.frames(str(tmp_path / "x.ts"), "x"), strict=True)
    assert {p.shape for p in pictures} == {(48, 64, 3), (64, 48, 3)}
    assert (np.diff(times) > 0).all()  # the second part's clock starts anew
    assert transform_video(str(tmp_path / "x.ts"), SMALL)[0].shape == (15, 3, 2, 64, 64)


def test_a_phone_held_upright(tmp_path):
    """Embedded as stored, as the reference does; shown and searched upright."""
    data = bytearray(film(tmp_path / "x.mp4", 10).read_bytes())
    at = data.find(b"tkhd") + 40  # the display matrix: a quarter turn
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(data)
    plain, turned = str(tmp_path / "x.mp4"), str(tmp_path / "turned.mp4")
    assert torch.equal(transform_video(turned, SMALL)[0], transform_video(plain, SMALL)[0])
    assert {p.shape for _, p in media.frames(turned, "x")} == {(64, 48, 3)}


def test_a_chained_ogg_is_read_to_the_end_of_its_first_part():
    file = io.BytesIO()
    for hz in (440, 900):
        part = io.BytesIO()
        soundfile.write(part, tone(2, hz), RATE, format="OGG")
        file.write(part.getvalue())
    assert load_audio(file)[0].shape[1] == 2 * RATE


def adts(path, rate, layout, hz):
    wave = np.tile(tone(3, hz, rate)[None], (2 if layout == "stereo" else 1, 1))
    with av.open(str(path), "w", format="adts") as out:
        stream = out.add_stream("aac", rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path.read_bytes()


@pytest.mark.parametrize("second", [(16_000, "stereo"), (32_000, "mono")])
def test_a_layout_or_rate_that_changes(tmp_path, second):
    first = adts(tmp_path / "a.aac", 16_000, "mono", 440)
    (tmp_path / "x.aac").write_bytes(first + adts(tmp_path / "b.aac", *second, 900))
    wave, rate = load_audio(str(tmp_path / "x.aac"))
    assert rate == RATE and len(wave) == 1 and abs(wave.shape[1] / RATE - 6) < 0.2
    heard = [np.abs(np.fft.rfft(wave[0, s * RATE : (s + 1) * RATE])).argmax() for s in (1, 4)]
    assert heard == [440, 900]


@pytest.mark.parametrize("name", ["2024-05-01T10:20:30.mkv", os.fsdecode(b"caf\xe9.mkv")])
def test_names_that_are_no_addresses(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    os.rename(film("x.mkv", audio=[(tone(), 0.0)]), name)
    assert load_audio(name)[0].shape[1] == 2 * RATE
    assert transform_video(name, SMALL)[0].shape[0] == 15


def test_rates_without_a_common_divisor():
    for rate in (11_127, 22_254, 44_099):
        out = resample(torch.from_numpy(tone(2, 440, rate))[None], rate)[0]
        assert abs(len(out) - 2 * RATE) <= 1
        assert np.abs(out.numpy() - tone()[: len(out)])[1000:-1000].max() < 3e-3
    wave = torch.randn(1, 9_000, generator=torch.Generator().manual_seed(0))
    with pytest.MonkeyPatch.context() as patch:
        kernel = resample(wave, 22_050)
        patch.setattr("bindplug.transforms.resampling.KERNEL", 0)
        assert (resample(wave, 22_050) - kernel).abs().max() < 2e-4


def test_channels(tmp_path, caplog):
    path = str(tmp_path / "right.wav")
    soundfile.write(path, np.stack([0 * tone(), 0.1 * tone(), tone()], 1), RATE, "FLOAT")
    with caplog.at_level(logging.WARNING, "bindplug"):
        first = distinct_clips(path, AudioConfig())[0]
    assert path in caplog.text and "loudest" in caplog.text and "channel 3" in caplog.text
    caplog.clear()
    loudest = distinct_clips(path, AudioConfig(), channel="loudest")[0]
    mix = distinct_clips(path, AudioConfig(), channel="mix")[0]
    assert torch.equal(loudest, distinct_clips((tone(), RATE), AudioConfig())[0])
    mean = (1.1 * tone() / 3, RATE)
    assert (mix - distinct_clips(mean, AudioConfig())[0]).abs().max() < 1e-2
    assert not torch.equal(first, loudest) and not caplog.records
    with pytest.raises(BindplugError, match="first, loudest or mix"):
        distinct_clips(path, AudioConfig(), channel="left")


SAMPLES = (tone() * 32767).astype(np.int16)


@pytest.mark.parametrize(
    "array",
    [
        SAMPLES.astype(np.int64),
        SAMPLES.astype(np.int32),
        SAMPLES.astype(np.int32) * 256,  # 24 bits
        SAMPLES.astype(np.int32) * 65536,
        SAMPLES.astype(np.int64) * 65536,
        (SAMPLES.astype(np.int32) + 32768).astype(np.uint16),
        torch.from_numpy(SAMPLES / np.float32(32768)).requires_grad_(),
        (SAMPLES / 32768).tolist(),
    ],
    ids=str,
)
def test_numbers_of_any_kind(array):
    wave, rate = load_audio((array, RATE))
    assert np.allclose(wave[0], SAMPLES / 32768, atol=1e-6)
    row = {"array": array, "sampling_rate": float(rate), "path": None}
    assert torch.equal(load_audio(row)[0], wave)


def test_eight_bits_and_bfloat16():
    eight = (tone() * 127 + 128).round().astype(np.uint8)
    assert np.allclose(load_audio((eight, RATE))[0][0], tone(), atol=0.01)
    half = torch.from_numpy(tone()).bfloat16()
    assert np.allclose(load_audio((half, RATE))[0][0], tone(), atol=0.01)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ((SAMPLES.astype(np.float32), RATE), "divide by its full scale"),
        (([[0.1, 0.2], [0.3]], RATE), "rows of one length"),
        ((tone(), "fast"), "whole number of Hz"),
        ((tone(), 0.5), "whole number of Hz"),
        ((tone(), 1), "a rate of 1 Hz"),
        ((tone(), 10**12), "100 Hz to 10 MHz"),
        (torch.zeros(RATE), "type Tensor"),
        (({}, RATE), "numbers"),
    ],
    ids=str,
)
def test_what_is_no_sound(source, words):
    with pytest.raises(BindplugError, match=words):
        load_audio(source)


def test_channels_that_cancel_out(tmp_path, caplog):
    path = str(tmp_path / "antiphase.wav")
    soundfile.write(path, np.stack([tone(), -tone()], 1), RATE, "FLOAT")
    with caplog.at_level(logging.WARNING, "bindplug"):
        distinct_clips(path, AudioConfig(), channel="loudest")
        assert not caplog.records
        distinct_clips(path, AudioConfig(), channel="mix")
    assert f"{path}: its channels cancel out" in caplog.text


def test_a_wav_that_is_cut_short(tmp_path, caplog):
    path = tmp_path / "x.wav"
    soundfile.write(path, tone(), RATE)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    streamed = data[:40] + b"\xff\xff\xff\xff" + data[44:]  # its length is unknown
    with caplog.at_level(logging.WARNING, "bindplug"):
        assert torch.equal(load_audio(io.BytesIO(data))[0], load_audio(io.BytesIO(streamed))[0])
        assert not caplog.records
        assert len(load_audio(str(path))[0][0]) < len(tone())
    promised = len(data) - 44
    there = len(data) // 2 - 44
    assert f"{path}: is cut short: {there} of {promised} bytes" in caplog.text


def test_streams(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, tone(), RATE)
    wave = load_audio(str(path))[0]
    data = path.read_bytes()
    read = io.BytesIO(data)
    read.read()  # at its end
    assert torch.equal(load_audio(read)[0], wave)
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as pipe:
        assert torch.equal(load_audio(pipe.stdout)[0], wave)
    os.mkfifo(tmp_path / "pipe")
    for read_it, content in (
        (lambda p: torch.equal(load_audio(p)[0], wave), data),
        (lambda p: len(transform_video(p, SMALL)[1]) == 5, film(tmp_path / "x.mkv").read_bytes()),
    ):
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,))
        writer.start()
        assert read_it(str(tmp_path / "pipe"))
        writer.join()
    with open(path, "rb") as closed, open(path, errors="replace") as text:
        for read_it in (load_audio, load_image, lambda f: transform_video(f, SMALL)):
            with pytest.raises(BindplugError, match=r"x\.wav: is a file in text mode"):
                read_it(text)
    for read_it in (load_audio, load_image, lambda f: transform_video(f, SMALL)):
        with pytest.raises(BindplugError, match=r"x\.wav: is a closed file"):
            read_it(closed)
