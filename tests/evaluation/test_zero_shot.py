"""Figures against hand-worked ones, and data as people keep it."""

import numpy as np
import pytest
import soundfile
from PIL import Image

import bindplug
from bindplug import BindplugError
from bindplug.evaluation.datasets import read_classified, read_pairs
from bindplug.evaluation.metrics import average_precision, mean_average_precision, top_k, wilson
from bindplug.evaluation.zero_shot import evaluate_classes, evaluate_pairs


def test_average_precision_by_hand():
    truth = np.array([True, False, True, False])
    assert average_precision(np.array([4.0, 3, 2, 1]), truth) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.array([1.0, 2, 3, 4]), truth) == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert average_precision(np.zeros(4), truth) == pytest.approx(0.5)  # ties: the share
    assert np.isnan(average_precision(np.zeros(4), np.zeros(4, bool)))


def test_shares_and_intervals():
    scores = np.array([[3, 2, 1], [1, 3, 2], [1, 2, 3], [3, 2, 1.0]])
    truth = np.eye(3, dtype=bool)[[0, 1, 1, 2]]
    assert top_k(scores, truth)["value"] == 0.5 and top_k(scores, truth, 2)["value"] == 0.75
    assert top_k(scores, truth, 3)["value"] == 1
    low, high = wilson(50, 100)  # Wilson 1927: 0.404 to 0.596
    assert (round(low, 3), round(high, 3)) == (0.404, 0.596)
    assert wilson(0, 10)[0] == 0 and wilson(10, 10)[1] == pytest.approx(1)
    found = mean_average_precision(scores, truth)
    assert found["low"] <= found["value"] <= found["high"]


def write(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).normal(size=8000) * 0.1, 16_000)


@pytest.fixture
def esc(tmp_path, media):
    """ESC-50's layout with the demo's sounds."""
    root = tmp_path / "ESC-50-master"
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    (root / "audio").mkdir(parents=True)
    for i, name in enumerate(("cat", "rooster", "rain")):
        (root / "audio" / f"1-{i}.wav").write_bytes((media / f"{name}.wav").read_bytes())
        lines.append(f"1-{i}.wav,{1 + i % 2},{i},{name},False,{i},A")
    (root / "meta").mkdir()
    (root / "meta" / "esc50.csv").write_text("\n".join(lines) + "\n")
    return root


def test_layouts(esc, tmp_path):
    for data in (esc, esc / "meta" / "esc50.csv"):
        items = read_classified(data, "audio")
        assert [i.labels for i in items] == [("cat",), ("rooster",), ("rain",)]
        assert [i.fold for i in items] == ["1", "2", "1"] and items[0].path.endswith("1-0.wav")
    folders = tmp_path / "folders"
    write(folders / "dog" / "a.wav")
    write(folders / "rain" / "deep" / "b.wav")
    (folders / "empty").mkdir()
    assert [i.labels[0] for i in read_classified(folders, "audio")] == ["dog", "rain"]
    (folders / "m.csv").write_text("file,label\ndog/a.wav,dog; animal\n")
    assert read_classified(folders, "audio")[0].labels == ("dog", "animal")
    (esc / "audio" / "1-1.wav").unlink()
    with pytest.raises(BindplugError, match=r"1-1\.wav, which is not there"):
        read_classified(esc, "audio")
    for text, words in (("a,b\n1,2\n", "no column"), ("", "no rows")):
        (tmp_path / "x.csv").write_text(text)
        with pytest.raises(BindplugError, match=words):
            read_classified(tmp_path / "x.csv", "audio")


def test_naming_and_retrieval(esc, tmp_path):
    small = bindplug.load_embedder("small", "cpu")
    figures, errors = evaluate_classes(small, esc, "audio")
    assert figures["files"] == figures["classes"] == 3 and not errors
    assert figures["top-1"]["value"] == 1 and figures["chance"] == pytest.approx(1 / 3, abs=1e-4)
    assert evaluate_classes(small, esc, "audio", fold="1")[0]["files"] == 2
    with pytest.raises(BindplugError, match="'rain' is not among"):
        evaluate_classes(small, esc, "audio", labels="cat,rooster")
    (esc / "audio" / "1-1.wav").write_text("no sound")
    figures, errors = evaluate_classes(small, esc, "audio")
    assert figures["files"] == 2 and len(errors) == 1
    table = "audio,text\naudio/1-0.wav,a cat\naudio/1-0.wav,cat\naudio/1-2.wav,rain\n"
    (esc / "pairs.csv").write_text(table)
    assert len(read_pairs(esc, ("audio", "text"))) == 3
    figures, _ = evaluate_pairs(small, esc / "pairs.csv", "audio", "text")
    assert (figures["audio items"], figures["text items"]) == (2, 3)
    assert figures["audio to text R@1"]["value"] == figures["text to audio R@1"]["value"] == 1


def test_rows_that_are_not_whole(tmp_path):
    for name in ("x.wav", "y.wav"):
        write(tmp_path / name)
    table = tmp_path / "t.csv"
    table.write_text("\ufefffilename,fold,category\r\nx.wav,1,a\r\ny.wav,2,b\r\n", "utf-8")
    assert [i.labels for i in read_classified(table, "audio")] == [("a",), ("b",)]
    table.write_bytes("filename,category\nx.wav,é\n".encode("utf-16"))
    assert read_classified(table, "audio")[0].labels == ("é",)
    bad = {
        "filename,fold,category\nx.wav,1,a\ny.wav\n": "line 3 has no category",
        "filename,category\nx.wav,a\ny.wav,\n": "line 3 has no category",
        "filename,category\nx.wav, ; \n": "line 2 has no category",
        "filename,category\n,a\n": "line 2 has no filename",
        "filename,category\nx.wav,a,b\n": "line 2 has more values",
        "filename,category\n" + "x" * 5000 + ",a\n": "is not there",
    }
    for text, words in bad.items():
        table.write_text(text)
        with pytest.raises(BindplugError, match=words):
            read_classified(table, "audio")
    table.write_bytes(b"filename,category\nx.wav,\xe9\n")
    with pytest.raises(BindplugError, match="UTF-8"):
        read_classified(table, "audio")
    with pytest.raises(BindplugError, match="no modality 'smell'"):
        read_classified(table, "smell")
    table.write_text("audio,text\nx.wav,a dog, barking\n")
    with pytest.raises(BindplugError, match="double quotes"):
        read_pairs(table, ("audio", "text"))


def test_of_a_table_of_pairs_the_column_of_the_modality_counts(tmp_path):
    write(tmp_path / "x.wav")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "p.csv").write_text("image,audio,label\na.png,x.wav,dog\n")
    for modality, name in (("image", "a.png"), ("audio", "x.wav")):
        [item] = read_classified(tmp_path / "p.csv", modality)
        assert item.path.endswith(name) and item.labels == ("dog",)


def test_no_pair_survives(tmp_path):
    small = bindplug.load_embedder("small", "cpu")
    write(tmp_path / "x.wav")
    (tmp_path / "y.wav").write_text("no sound")
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "b.png").write_text("no image")
    (tmp_path / "p.csv").write_text("audio,image\nx.wav,b.png\ny.wav,a.png\n")
    with pytest.raises(BindplugError, match="no pair can be read"):
        evaluate_pairs(small, tmp_path / "p.csv", "audio", "image")
    with pytest.raises(BindplugError, match="two modalities"):
        evaluate_pairs(small, tmp_path / "p.csv", "audio", "audio")


def test_undefined_figures_are_none():
    none = {"value": None, "low": None, "high": None}
    assert mean_average_precision(np.zeros((3, 2)), np.zeros((3, 2), bool)) == none
    assert top_k(np.zeros((0, 2)), np.zeros((0, 2), bool)) == none
    truth = np.array([[True, False], [False, False], [False, False]])  # resamples without any
    assert all(isinstance(v, float) for v in mean_average_precision(truth * 1.0, truth).values())
