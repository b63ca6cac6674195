"""Rows from tables, folders and videos; views of them; batches."""

import json

import numpy as np
import pytest
import torch

from bindplug import BindplugError
from bindplug.models.towers.build import make_trunk
from bindplug.models.towers.spec import parse_tower
from bindplug.training.data.augment import parse_augmentations
from bindplug.training.data.inputs import open_input
from bindplug.training.data.loader import Loader, stack
from bindplug.training.data.plan import Plan
from bindplug.training.data.rows import Moment, Row, Source, ids_of, make_sources
from bindplug.training.data.sources import kind_of, read_rows, read_sources, split_of
from bindplug.training.data.tables import Bad
from bindplug.transforms.media import duration, frame_at, sound_between

BOTH = ["image", "audio", "text"]


def test_csv(world):
    rows = read_rows(str(world / "train.csv"), "csv", BOTH, Bad())
    assert len(rows) == 12 and rows[0].labels == ("red",)
    assert set(rows[0].inputs) == {"image", "audio"} and rows[0].name == rows[0].inputs["image"][0]


def test_jsonl_with_alternatives(world, tmp_path):
    table = tmp_path / "t.jsonl"
    images = [str(world / "image" / "red" / f"red{i}.png") for i in range(2)]
    line = {"image": images, "text": "red", "label": ["red", "warm"], "group": 7}
    table.write_text(json.dumps(line) + "\n\n" + json.dumps({"text": "nothing more"}) + "\n")
    first, second = read_rows(str(table), kind_of(str(table)), BOTH, Bad())
    assert first.inputs == {"image": tuple(images), "text": ("red",)}
    assert first.labels == ("red", "warm") and first.group == "7"
    [source] = make_sources([first, second], "t", BOTH)
    assert source.rows == (first,) and source.modalities == ("image", "text")


def test_jsonl_with_zeros_and_line_separators(world, tmp_path):
    """0 is a label and a group like others; U+2028 in a string ends no line."""
    image, table = str(world / "image" / "red" / "red0.png"), tmp_path / "t.jsonl"
    lines = [{"image": image, "text": "a\u2028b", "label": i, "group": i} for i in range(2)]
    text = "\r\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    table.write_text(text, "utf-8")
    rows = read_rows(str(table), "jsonl", BOTH, Bad(True))
    assert [(row.labels, row.group) for row in rows] == [(("0",), "0"), (("1",), "1")]
    assert rows[0].inputs["text"] == ("a\u2028b",)


def test_names_of_columns(world, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text(f"filepath,title\n{world}/image/red/red0.png,red\n")
    [row] = read_rows(str(table), "csv", BOTH, Bad(), {"image": "filepath", "text": "title"})
    assert row.inputs["text"] == ("red",)


def test_folders_of_classes_pair_by_name_or_by_class(world, tmp_path):
    assert kind_of(str(world)) == "folder"
    rows = read_rows(str(world), "folder", BOTH, Bad())
    assert len(rows) == 16
    by_stem = {row.name.split("/")[-1][:-4]: row.inputs["audio"][0] for row in rows}
    assert all(path.endswith(f"{stem}.wav") for stem, path in by_stem.items())
    for place, names in {"dog": ["a.png", "b.png", "bark.wav"], "empty": []}.items():
        (tmp_path / place).mkdir()
        for name in names:
            source = world / (
                "audio/red/red0.wav" if name.endswith("wav") else "image/red/red0.png"
            )
            (tmp_path / place / name).write_bytes(source.read_bytes())
    bad = Bad()
    [row] = read_rows(str(tmp_path), "folder", BOTH, bad)
    assert len(row.inputs["image"]) == 2 and row.labels == ("dog",)
    assert "class 'empty' has nothing" in bad.summary("rows")
    with pytest.raises(BindplugError, match=r"class 'empty'.*--strict"):
        read_rows(str(tmp_path), "folder", BOTH, Bad(True))


def test_videos_show_frame_and_sound_of_one_moment(make_video, tmp_path):
    import av

    path = tmp_path / "films" / "x.mp4"
    path.parent.mkdir()
    with av.open(str(path), "w") as container:  # brightness and loudness grow with time
        film = container.add_stream("mpeg4", rate=10)
        film.width = film.height = 64
        for i in range(60):
            frame = av.VideoFrame.from_ndarray(
                np.full((64, 64, 3), 4 * i, np.uint8), format="rgb24"
            )
            frame.pts = i
            container.mux(film.encode(frame))
        container.mux(film.encode())
    assert duration(str(path), "x") == pytest.approx(6, abs=0.2)
    for seconds in (0.0, 0.55, 2.0, 4.3, 5.9, 99.0):
        expected = 4 * min(59, int(seconds * 10))
        found = frame_at(str(path), "x", seconds).mean()
        assert abs(found - expected) < 8, seconds
    tone = make_video("red", seconds=4, tone=440, name="films/tone.mp4")
    wave, rate = sound_between(tone, "tone", 1.0, 2.0)
    assert wave.shape[1] == 2 * rate and np.abs(wave).max() > 0.2
    silent, _ = sound_between(tone, "tone", 100.0, 1.0)
    assert silent.shape[1] == rate and not silent.any()
    [row, _] = sorted(read_rows(str(path.parent), "videos", BOTH, Bad()), key=lambda r: r.name)
    assert isinstance(row.inputs["image"][0], Moment)
    assert open_input("image", Moment(str(path)), 0.5).size == (64, 64)


def aligned(loader, row, number):
    return [loader.view(row, m, row.inputs[m][0], number) for m in ("image", "depth")]


@pytest.fixture
def still(tmp_path):
    """An image and a depth map whose values are its columns."""
    from PIL import Image

    columns = np.tile(np.linspace(0, 255, 224), (224, 1)).astype(np.uint8)
    Image.fromarray(np.stack([columns] * 3, -1)).save(tmp_path / "i.png")
    np.save(tmp_path / "d.npy", 1 / (0.2 + np.tile(np.linspace(0, 1, 224), (224, 1))).astype("f4"))
    return Row({"image": (str(tmp_path / "i.png"),), "depth": (str(tmp_path / "d.npy"),)}, "x")


@pytest.mark.parametrize("is_aligned", [True, False])
def test_image_and_depth_share_crop_and_flip(still, is_aligned):
    sizes = "width=8,depth=1,heads=1"
    trunks = {m: make_trunk(parse_tower(f"{m}=imagebind:{sizes}"), None) for m in still.inputs}
    of = parse_augmentations(("image=crop:0.2,flip", "depth=crop:0.2,flip"), list(trunks))
    loader = Loader(trunks, of, seed=3, is_aligned=is_aligned)
    agree = []
    for number in range(24):
        image, depth = aligned(loader, still, number)
        rows = [x[0, 112] for x in (image, depth)]
        ends = [((x - x.mean()) / x.std())[[20, 200]] for x in rows]
        agree.append(bool((ends[0].sign() == ends[1].sign()).all()))
        assert all(map(torch.equal, aligned(loader, still, number), (image, depth)))
    assert all(agree) is is_aligned
    assert loader.view_name(still, "image", "i") == ("x" if is_aligned else "i")


def test_a_plan_is_a_function_of_seed_and_step():
    rows = tuple(Row({"image": (i,), "audio": (i, -i)}, str(i)) for i in range(10))
    sources = [Source(rows, ("image", "audio")), Source(rows[:4], ("image", "text"))]
    plan, again = (Plan(sources, 4, 2.0, views=3, seed=1) for _ in range(2))
    assert plan.epoch_steps == 5 + 2
    assert [plan.batch(s) for s in (9, 3)] == [again.batch(s) for s in (9, 3)]
    shown = [s.index for step in range(7) for s in plan.batch(step) if s.source == 0]
    assert np.bincount(shown).tolist() == [2] * 10  # each row as often
    assert {s.view for step in range(20) for s in plan.batch(step)} == {0, 1, 2}
    assert plan.batch(0) != plan.batch(7) and plan.batch(0) != Plan(sources, 4, seed=2).batch(0)


def test_too_few_rows():
    row = Row({"image": (1,), "audio": (1,)}, "x")
    with pytest.raises(
        BindplugError, match=r"1 row with image and audio \(the first: x\): contrastive"
    ):
        Plan([Source((row,), ("image", "audio"))], 8)


def test_ids():
    rows = [Row({}, "a", ("x",)), Row({}, "b", ("y",)), Row({}, "c", ("x",)), Row({}, "d")]
    assert ids_of(rows, "label") == [0, 1, 0, 2]
    with pytest.raises(BindplugError, match=r"no two of 4 rows share their groups"):
        ids_of(rows, "group")


@pytest.mark.parametrize(("text", "error"), [
    ("a,b\n1,2\n", "has no column image"),
    ("", "has no column image"),
])  # fmt: skip
def test_tables_that_are_none(tmp_path, text, error):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(BindplugError, match=error):
        read_sources((str(tmp_path / "t.csv"),), "auto", BOTH, Bad())


def test_bad_lines_are_counted_or_refused(world, tmp_path):
    (tmp_path / "t.csv").write_text(
        f"image,audio\n{world}/image/red/red0.png,{world}/audio/red/red0.wav\nno.png,no.wav\n,\n"
    )
    bad = Bad()
    assert len(read_rows(str(tmp_path / "t.csv"), "csv", BOTH, bad)) == 1
    assert bad.summary("rows").startswith("2 rows left out; the first:")
    assert "names no.png, which is not there (line 3)" in bad.messages[0]
    with pytest.raises(BindplugError, match=r"no.png"):
        read_rows(str(tmp_path / "t.csv"), "csv", BOTH, Bad(True))


def test_a_line_with_a_comma_too_many_is_bad(world, tmp_path):
    """Its cells are not what they seem: a text cut at the comma would be trained on."""
    table, image = tmp_path / "t.csv", f"{world}/image/red/red0.png"
    table.write_text(f"image,text\n{image},red\n{image},a dog, barking\n")
    bad = Bad()
    [row] = read_rows(str(table), "csv", BOTH, bad)
    assert row.inputs["text"] == ("red",)
    assert "line 3 has more values than the header has columns" in bad.messages[0]
    with pytest.raises(BindplugError, match=r"double quotes \(--strict\)"):
        read_rows(str(table), "csv", BOTH, Bad(True))


def test_files_in_folders_of_their_modality(world, tmp_path):
    for name in ("image/a.png", "audio/a.wav"):
        (tmp_path / name).parent.mkdir()
        ending = name[-3:]
        source = "image/red/red0.png" if ending == "png" else "audio/red/red0.wav"
        (tmp_path / name).write_bytes((world / source).read_bytes())
    (tmp_path / "meta").mkdir()
    for table in (tmp_path / "t.csv", tmp_path / "meta" / "t.csv"):
        table.write_text("image,audio\na.png,a.wav\n")
        [row] = read_rows(str(table), "csv", BOTH, Bad(True))
        assert row.inputs["audio"][0].endswith("audio/a.wav")


def test_a_table_without_rows_names_its_columns(tmp_path):
    (tmp_path / "t.csv").write_text("picture,sound\n")
    with pytest.raises(BindplugError, match=r"has no column image.*it has picture, sound"):
        read_rows(str(tmp_path / "t.csv"), "csv", BOTH, Bad())


def test_no_tower_for_the_data(world):
    with pytest.raises(BindplugError, match=r"it has audio, image, there are"):
        read_sources((str(world / "train.csv"),), "auto", ["image", "text"], Bad())


def test_what_is_where(tmp_path):
    with pytest.raises(BindplugError, match=r"no such data"):
        kind_of(str(tmp_path / "no"))
    assert kind_of("a-{000..003}.tar") == "webdataset" and kind_of("x/y.tar") == "webdataset"
    assert split_of("data#test") == ("data", "test") and split_of(str(tmp_path))[1] == ""


def test_clips_of_two_shapes():
    with pytest.raises(BindplugError, match=r"audio: a gives \(2,\) and b \(3,\)"):
        stack([torch.zeros(2), torch.zeros(3)], "audio", ["a", "b"])
