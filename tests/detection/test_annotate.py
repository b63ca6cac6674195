"""A video whose sound changes finds what sounds, when it sounds."""

import io
import json
import weakref
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou

import bindplug
from bindplug import BindplugError, Detections
from bindplug.detection.video import annotate as room
from bindplug.detection.video.tracks import Tracker
from bindplug.transforms.audio import load_audio
from bindplug.transforms.media import sound_windows
from bindplug.transforms.resampling import resample
from bindplug.watch import Moment, annotate, watch

RATE = 16_000
ROOSTER = torch.tensor([[157, 169, 240, 257]])  # in farm.png


@pytest.fixture(scope="module")
def parts():
    return bindplug.load_detector("detic", "small", "cpu"), bindplug.load_embedder("small", "cpu")


@pytest.fixture
def film(tmp_path, media):
    """6 s of farm.png: 2 s of a rooster, 2 s of silence, 2 s of a rooster; 5 frames a second."""

    def make(sound=True, name="film.mp4"):
        path = tmp_path / name
        crow = resample(*load_audio(str(media / "rooster.wav")))[:, : 2 * RATE].numpy()
        crow = np.tile(crow, 3)[:, : 2 * RATE]
        wave = np.concatenate([crow, np.zeros_like(crow), crow], axis=1).mean(0, keepdims=True)
        farm = Image.open(media / "farm.png").convert("RGB")
        with av.open(str(path), "w") as container:
            video = container.add_stream("mpeg4", rate=5)
            video.width, video.height = farm.size
            video.bit_rate = 4_000_000
            if sound:
                audio = container.add_stream("aac", rate=RATE, layout="mono")
            for i in range(30):
                frame = av.VideoFrame.from_image(farm)
                frame.pts = i
                container.mux(video.encode(frame))
            container.mux(video.encode())
            if sound:
                frame = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(wave, np.float32), format="fltp", layout="mono"
                )
                frame.sample_rate, frame.pts = RATE, 0
                container.mux(audio.encode(frame))
                container.mux(audio.encode())
        return str(path)

    return make


def test_the_sound_finds_its_maker_while_it_sounds(film, parts, tmp_path):
    video = film()
    timeline = annotate(*parts, video, tmp_path / "out", seconds=2.0, threshold=0.3,
                        vocabulary=["rooster", "rain", "piano"], made_from={"x": 1})  # fmt: skip
    assert timeline["made_from"] == {"x": 1} and timeline["bridge"].startswith("vocabulary")
    heard = [list(w["heard"])[:1] for w in timeline["windows"]]
    assert heard[0] == ["rooster"] and heard[1] == [] and heard[2] == ["rooster"]
    best = max(timeline["tracks"], key=lambda t: t["score"])
    spans = [(s["start"], s["end"]) for s in best["sounds"]]
    assert all(end <= 2.6 or start >= 3.9 for start, end in spans)
    assert box_iou(torch.tensor([[*best["boxes"][0]["box"].values()]]), ROOSTER) > 0.5
    assert sum(len(t["boxes"]) for t in timeline["tracks"]) >= 6
    assert json.loads((tmp_path / "out" / "film.json").read_text()) == timeline
    assert Image.open(tmp_path / "out" / "film.png").width == 900
    with av.open(str(tmp_path / "out" / "film.mp4")) as made:
        assert {s.type for s in made.streams} == {"video", "audio"}
        shown = [f.to_ndarray(format="rgb24") for f in made.decode(video=0)]
    with av.open(video) as own:
        plain = [f.to_ndarray(format="rgb24") for f in own.decode(video=0)]
    assert len(shown) == len(plain) == 30
    drawn = [np.abs(a.astype(int) - b).max() > 120 for a, b in zip(shown, plain, strict=True)]
    assert drawn[2] and not drawn[15] and drawn[24]
    with pytest.raises(BindplugError, match="exists"):
        annotate(*parts, video, tmp_path / "out")


def test_a_prompt_takes_the_soundtracks_place(film, parts, media):
    detector, embedder = parts
    prompt = embedder.embed(audio=str(media / "rooster.wav"))
    moments = list(watch(detector, None, film(sound=False), prompt, step=1.0, threshold=0.3))
    found = [m for m in moments if m.found is not None]
    assert len(moments) == 30 and [round(m.time) for m in found] == [0, 1, 2, 3, 4, 5]
    assert all(len(m.found) for m in found) and found[0].found.labels[0].endswith("rooster.wav")
    with pytest.raises(BindplugError, match="has no sound"):
        next(watch(detector, embedder, film(sound=False)))


def test_an_interruption_leaves_nothing(film, parts, tmp_path, monkeypatch):
    video, seen = film(), []

    def stop(*args):
        seen.append(1)
        if len(seen) > 2:
            raise KeyboardInterrupt
        return Detections(*np.zeros((3, 0, 4)), None, 1, 1)

    monkeypatch.setattr(parts[0], "find", stop)
    with pytest.raises(KeyboardInterrupt):
        annotate(*parts, video, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def scene(path, starts, frames=30, rate=RATE):
    """6 s of two squares, 5 frames a second, and 1 s of a tone at each start (raw samples)."""
    image = np.full((64, 96, 3), 255, np.uint8)
    image[10:40, 10:40] = (255, 0, 0)
    wave = (0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate) * 32767).astype(np.int16)[None]
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=5)
        video.width, video.height = 96, 64
        audio = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts = i
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for start in starts:
            frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, start * rate, Fraction(1, rate)
            container.mux(audio.encode(frame))
    return str(path)


def onset(path):
    """Seconds of the first loud sample."""
    with av.open(path) as container:
        for frame in container.decode(audio=0):
            loud = np.abs(frame.to_ndarray()[0]) > 0.1
            if loud.any():
                return frame.time + int(loud.argmax()) / frame.sample_rate


@pytest.mark.parametrize("rate", [16_000, 10_000, 192_000])
def test_late_sound_is_searched_and_heard_at_its_own_time(parts, tmp_path, rate):
    path = scene(tmp_path / "late.mkv", [4, 5], rate=rate)
    timeline = annotate(*parts, path, tmp_path / "out", threshold=0.0, top_k=1)
    assert [bool(w["heard"]) for w in timeline["windows"]] == [False, False, True]
    spans = [(s["start"], s["end"]) for t in timeline["tracks"] for s in t["sounds"]]
    assert min(s for s, _ in spans) >= 4 - 1e-6 and max(e for _, e in spans) <= 6.5
    made = str(tmp_path / "out" / "late.mp4")
    assert abs(onset(made) - 4) < 0.01
    with av.open(made) as container:
        assert container.streams.audio[0].rate == (16_000 if rate == 16_000 else 48_000)
        assert next(container.decode(video=0)).time == 0


@pytest.mark.parametrize("step", [0.5, 1.5, 2.0])
def test_a_still_object_is_one_track_at_any_step(step):
    tracker = Tracker(step)
    for i in range(5):
        if i != 2:  # missed once
            tracker.add(i * step, frame([[0, 0, 20, 20]]))
    assert len(tracker.tracks) == 1


def test_a_still_object_among_many_that_come_and_go_is_one_track():
    tracker = Tracker()
    for i in range(250):
        passing = [[40 + 20 * (i % 3), 40, 50 + 20 * (i % 3), 50]]
        tracker.add(2.0 * i, frame([[0, 0, 20, 20], *passing]))
        tracker.add(2.0 * i + 1.0, frame([[0, 0, 20, 20]]))
    assert len(tracker.tracks) == 251 and len(tracker.tracks[0].times) == 500


def test_windows_are_let_go(parts, tmp_path, monkeypatch):
    made, alive = [], []

    class Finder(room.Finder):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            made.append(weakref.ref(self))
            alive.append(sum(ref() is not None for ref in made))

    monkeypatch.setattr(room, "Finder", Finder)
    path = scene(tmp_path / "x.mkv", range(6))
    annotate(*parts, path, tmp_path / "out", threshold=0.0, seconds=1.0)
    assert len(made) == 6 and max(alive) <= 3


def test_a_film_in_memory_and_the_older_names(parts, tmp_path):
    path = scene(tmp_path / "x.mkv", [0, 1])
    data = io.BytesIO(Path(path).read_bytes())
    inside, outside = (
        [(m.time, m.found is not None) for m in watch(*parts, v, threshold=0.0)]
        for v in (data, path)
    )
    assert inside == outside and sum(f for _, f in outside) == 4
    assert (Moment, annotate) == (room.Frame, room.annotate_video)


def test_windows_cover_the_sound(film):
    windows = list(sound_windows(film(), "film", 0.7))
    assert all(x.shape[1] == round(0.7 * RATE) for x, rate in windows[:-1])
    total = sum(x.shape[1] for x, _ in windows)
    assert abs(total - 6 * RATE) < 2100  # the codec pads
    assert np.abs(windows[4][0]).max() < 0.01 < np.abs(windows[0][0]).max()


def test_bad_videos(parts, tmp_path, film, media):
    (tmp_path / "x.mp4").write_bytes(b"no video" * 50)
    data = Path(film()).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    for path, words in (
        (tmp_path / "absent.mp4", "no such file"),
        (tmp_path / "x.mp4", "cannot be opened"),
        (tmp_path / "cut.mp4", "cut"),
        (media / "dog.wav", "no picture"),
    ):
        with pytest.raises(BindplugError, match=words) as err:
            annotate(*parts, str(path), tmp_path / "out")
        assert str(path.name) in str(err.value)


def frame(boxes, ids=None):
    boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    ids = np.zeros(len(boxes), int) if ids is None else np.array(ids)
    return Detections(boxes, np.full(len(boxes), 0.5), ids, None, 100, 100, names=("a", "b"))


def test_tracks_follow_and_end():
    tracker = Tracker()
    tracker.add(0.0, frame([[0, 0, 20, 20], [50, 50, 80, 80]], [0, 1]))
    tracker.add(0.5, frame([[52, 50, 82, 80], [3, 0, 23, 20]], [1, 0]))
    tracker.add(1.0, frame([]))
    tracker.add(1.5, frame([[6, 0, 26, 20]]))
    tracker.add(3.5, frame([[6, 0, 26, 20]]))  # too late to be the same
    assert [t.label for t in tracker.tracks] == ["a", "b", "a"]
    assert [t.times for t in tracker.tracks] == [[0.0, 0.5, 1.5], [0.0, 0.5], [3.5]]
    assert tracker.tracks[0].sounds(0.5) == [(0.0, 1.0), (1.5, 2.0)]
    assert tracker.tracks[1].boxes[1][0] == 52
