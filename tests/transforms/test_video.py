"""Video clips against the reference's, and what real files are like."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from bindplug import BindplugError
from bindplug.imagebind import AudioConfig, VisionConfig
from bindplug.transforms.audio import distinct_clips, load_audio
from bindplug.transforms.video import clip_frames, frames_to_clips, transform_video

# fps and frames of the golden cases; their frames are numbered in one array of 43.
CASES = {"landscape": (10.0, 43), "portrait": (29.97, 43), "short_1s": (10.0, 10)}


@pytest.mark.parametrize("name", CASES)
def test_golden(name, golden):
    data = np.load(golden / "imagebind_transforms" / "video.npz")
    frames = data["frames_u8"]
    if name == "portrait":
        frames = frames.transpose(0, 2, 1, 3)
    fps, count = CASES[name]
    x, times = frames_to_clips(frames.__getitem__, count, fps, VisionConfig().image_size, 5)
    expected = data[f"{name}/out_stride8"]
    assert x.shape == (15, 3, 2, 224, 224) and len(times) == 5
    assert np.abs(x.numpy()[..., ::8, ::8] - expected).max() < 1e-5


def test_bounds_are_the_reference_samplers():
    bounds = clip_frames(43, 10.0, 5)
    assert [(a, b) for a, b, _, _ in bounds] == [(0, 19), (6, 25), (12, 31), (18, 37), (23, 42)]
    assert clip_frames(10, 10.0, 1) == [(0, 9, 0.0, 2.0)]


def test_a_file(make_video):
    config = VisionConfig(image_size=64)
    path = make_video("blue", seconds=5, rate=10)
    x, times = transform_video(path, config)
    assert x.shape == (15, 3, 2, 64, 64) and times == [(k * 0.75, k * 0.75 + 2) for k in range(5)]
    assert x[0, 2].mean() > x[0, 0].mean() + 0.5, "blue is not blue"
    assert not torch.equal(x[1, :, 0], x[1, :, 1]), "nothing moves"
    assert len(transform_video(path, config, clips="all")[1]) == 3
    assert len(transform_video(path, config, clips=2)[1]) == 2
    with pytest.raises(BindplugError, match="reference, all or a number"):
        transform_video(path, config, clips="many")
    with open(path, "rb") as file:
        assert torch.equal(transform_video(file, config)[0], x)


def test_its_sound(make_video):
    path = make_video("red", seconds=3, tone=440)
    wave, rate = load_audio(path)
    assert rate == 16_000 and abs(wave.shape[1] - 48_000) < 2_100
    spectrum = np.abs(np.fft.rfft(wave[0, 8000:24_000].numpy()))
    assert abs(int(spectrum.argmax()) - 440) <= 1
    x, times = distinct_clips(path, AudioConfig())
    assert x.shape == (3, 1, 128, 204) and len(times) == 3
    with pytest.raises(BindplugError, match="has no sound"):
        load_audio(make_video("red"))


def test_variable_rate(tmp_path):
    import av

    path = tmp_path / "vfr.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.codec_context.time_base = Fraction(1, 1000)
        at = 0
        for i in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), i * 8, np.uint8))
            frame.pts, frame.time_base = at, stream.codec_context.time_base
            at += 50 if i % 2 else 250
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    x, times = transform_video(path, VisionConfig(image_size=64))
    assert x.shape[0] == 15 and times[-1][1] <= 30


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("absent", "no such file"),
        ("empty", "empty file"),
        ("folder", "is a folder"),
        ("text", "cannot be opened"),
        ("truncated", "cut short|cannot be opened"),
        ("sound", "has no picture"),
    ],
)
def test_what_is_no_video(kind, words, make_video, tmp_path, media):
    path = tmp_path / "x.mp4"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("no video" * 100)
    elif kind == "truncated":
        with open(make_video("red"), "rb") as file:
            path.write_bytes(file.read()[:3000])
    elif kind == "sound":
        path = media / "cat.wav"
    with pytest.raises(BindplugError, match=words) as err:
        transform_video(path, VisionConfig())
    assert str(path) in str(err.value)
