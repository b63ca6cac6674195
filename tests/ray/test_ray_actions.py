"""Embedding, detecting and generating on Ray give the rows of the plain jobs."""

import io
import json
import os

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from click.testing import CliRunner
from PIL import Image

import bindplug
import bindplug.ray
from bindplug import BindplugError
from bindplug.cli import main
from bindplug.embedding.jobs import embed_files
from bindplug.generation.recipe import read_recipe
from bindplug.generation.session import GenerationSession
from bindplug.ray import job
from bindplug.ray.embedding import EmbedActor

pytestmark = pytest.mark.usefixtures("one_ray")


@pytest.fixture
def rays_threads():
    """As many threads of torch as Ray's processes have: their number decides the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """41 short sounds, of which number 20 is none."""
    folder = tmp_path_factory.mktemp("sounds")
    for i in range(41):
        wave = np.sin(np.arange(4000) * (0.02 + 0.01 * i)) * 0.3
        soundfile.write(folder / f"{i:03d}.wav", wave, 16_000)
    (folder / "020.wav").write_text("no sound")
    return sorted(map(str, folder.glob("*.wav")))


def test_embed_41_files_with_a_bad_one_twice(sounds, imagebind_folder, tmp_path, monkeypatch):
    model, out = f"local:{imagebind_folder}", tmp_path / "vectors"
    items = [*(("audio", path) for path in sounds), ("text", "a dog")]
    report = bindplug.ray.embed(items, out, model, actors=2, device="cpu", rows_per_file=8)
    assert (report.rows, report.failed) == (41, 1) and "020.wav" in report.errors[0]
    got = pd.read_parquet(out).sort_values("index")  # pandas, without Ray
    assert got["label"].tolist() == [value for _, value in items]
    assert got["modality"].tolist() == ["audio"] * 41 + ["text"]
    failed = got["error"].notna()
    assert got["label"][failed].tolist() == [sounds[20]] and got["vector"][failed].isna().all()
    assert pq.read_schema(next(out.glob("*.parquet"))).field("vector").type.list_size == 32
    plain = tmp_path / "plain.npy"
    embed_files(bindplug.load_embedder(model, "cpu"), items, plain)
    assert np.abs(np.stack(got["vector"][~failed]) - np.load(plain)).max() < 1e-6
    about = json.loads((out / "_bindplug.json").read_text())
    assert about["space"] == "golden" and about["rows"] == 41
    monkeypatch.setattr(job, "connected", None)
    again = bindplug.ray.embed(items, out, model, actors=2, device="cpu", rows_per_file=8)
    assert again.was_done and (again.rows, again.failed) == (41, 1)
    with pytest.raises(BindplugError, match="exists, made from other"):
        bindplug.ray.embed(items, out, "small", device="cpu")
    with pytest.raises(BindplugError, match="exists, made from other"):
        bindplug.ray.embed(items, out, model, options={"clips": 1}, device="cpu")


def test_bad_requests_end_before_ray_is_asked(sounds, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "connected", None)
    for items, settings, words in (
        ([("audio", sounds[0])], {"options": {"clips": "many"}, "model": "nosuch"}, "nosuch"),
        ([("smell", "rose")], {}, "no modality 'smell'"),
        ([("audio", sounds[0])], {"cache": "x"}, "leave out `cache`"),
    ):
        with pytest.raises(BindplugError, match=words):
            bindplug.ray.embed(items, tmp_path / "out", **settings)


def test_an_actor_with_other_weights_ends_the_job(sounds, tmp_path):
    arguments = {"model": "small", "settings": {}, "expected": ["another"], "options": {}}
    work = job.Work(EmbedActor, arguments, "vector", {}, ["another"], 8)
    with pytest.raises(BindplugError, match="has other weights of these models"):
        job.run_job(work, [("audio", sounds[0])], tmp_path / "out", job.Engine(1, "cpu"), False)


def test_nothing_readable_leaves_nothing(tmp_path):
    command = ["embed", "--engine", "ray", "--actors", "1", "--audio", str(tmp_path / "none.wav")]
    result = CliRunner().invoke(main, [*command, "-o", str(tmp_path / "out")])
    assert result.exit_code == 2 and "none.wav: no such file" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_detect_gives_the_json_of_the_plain_command(media, tmp_path):
    (tmp_path / "bad.png").write_text("no image")
    images = [media / "garden.png", tmp_path / "bad.png", media / "farm.png"]
    pd.DataFrame({"path": map(str, images)}).to_parquet(tmp_path / "list.parquet")
    common = ["--audio", str(media / "dog.wav"), "--audio", str(media / "cat.wav"), "--device",
              "cpu", "--threshold", "0.1"]  # fmt: skip
    plain = CliRunner().invoke(
        main, ["detect", *common, "--no-overlay", "--json", "-", *map(str, images)]
    )
    out = tmp_path / "found"
    result = CliRunner().invoke(
        main, ["detect", *common, "--engine", "ray", "--actors", "1", "-o", str(out),
               str(tmp_path / "list.parquet")]
    )  # fmt: skip
    assert result.exit_code == plain.exit_code == 2, result.stderr
    assert "2 of 3" in result.stderr and "bad.png" in result.stderr
    rows = pq.read_table(out).to_pylist()
    assert [row["image"] for row in rows] == [str(path) for path in images]
    assert "is not an image" in rows[1]["error"] and rows[1]["objects"] is None
    wanted = json.loads(plain.stdout)
    members = ("image", "sha256", "width", "height", "objects")
    assert [{m: row[m] for m in members} for row in rows if not row["error"]] == wanted["images"]
    assert len(wanted["images"][0]["objects"]) > 1
    about = json.loads((out / "_bindplug.json").read_text())
    assert {k: about[k] for k in ("bridge", "made_from")} == {
        k: wanted[k] for k in ("bridge", "made_from")
    }


@pytest.mark.usefixtures("rays_threads")
def test_generate_gives_the_images_of_the_plain_session(media, pipeline_folder, tmp_path):
    prompts = [("audio", str(media / "dog.wav")), ("audio", "none.wav"), ("text", "a cat")]
    weights, out = f"local:{pipeline_folder}", tmp_path / "images"
    report = bindplug.ray.generate(
        prompts, out, weights=weights, num_images=2, seed=5, steps=2, actors=1, device="cpu"
    )
    assert (report.rows, report.failed) == (4, 2)
    rows = pq.read_table(out).to_pylist()
    assert [row["seed"] for row in rows] == [5, 6] * 3
    assert [row["label"] for row in rows[::2]] == [value for _, value in prompts]
    assert all("none.wav" in row["error"] and row["image"] is None for row in rows[2:4])
    session = GenerationSession("small", weights=weights, device="cpu")
    for start in (0, 4):
        (tmp_path / "x.png").write_bytes(rows[start]["image"])
        recipe = read_recipe(tmp_path / "x.png")
        assert json.loads(rows[start]["recipe"])["prompts"] == [list(prompts[start // 2])]
        for row, (image, _) in zip(rows[start:], session.generate(recipe, 2), strict=False):
            assert Image.open(io.BytesIO(row["image"])).tobytes() == image.tobytes()
    with pytest.raises(BindplugError, match="leave out mix"):
        bindplug.ray.generate(prompts, out, mix=(0.5, 0.5))
