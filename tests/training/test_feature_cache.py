"""Features of frozen trunks: made once, by one process; files and trunks hashed once."""

from collections import Counter
from pathlib import Path

import bindplug.cache
import bindplug.training.prepare
from bindplug.training.run import train
from bindplug.training.settings import to_toml


def test_files_and_trunks_are_hashed_once(settings, world, monkeypatch):
    files, trunks = Counter(), Counter()
    hashed, printed = bindplug.cache._hash, bindplug.training.prepare.fingerprint

    def hash_counted(item):
        files[str(item)] += isinstance(item, str)
        return hashed(item)

    def print_counted(tower, spec):
        trunks[tower.trunk.modalities[0]] += 1
        return printed(tower, spec)

    monkeypatch.setattr(bindplug.cache, "_hash", hash_counted)
    monkeypatch.setattr(bindplug.training.prepare, "fingerprint", print_counted)
    train(settings(steps=1, val_data=(str(world / "val.csv"),)), "cpu")
    images = [name for name in files if name.endswith(".png")]
    assert len(images) == 16 and {files[name] for name in images} == {1}
    assert set(trunks.values()) == {1} and {"image", "text"} <= set(trunks)


def test_one_process_makes_what_the_other_reads(settings, tmp_path, run_twice):
    of = settings(steps=2, tower=("audio=imagebind:width=32,depth=1,heads=2",))
    (tmp_path / "run.toml").write_text(to_toml(of))
    script = Path(__file__).with_name("count_features.py")
    run_twice(str(script), str(tmp_path / "run.toml"), str(tmp_path))
    assert int((tmp_path / "0").read_text()) == 24  # 12 images, 2 views of each
    assert int((tmp_path / "1").read_text()) == 0
