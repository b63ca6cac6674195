"""The README's Python is what a reader pastes: it runs."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_python_blocks(monkeypatch, tmp_path, make_video):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    names: dict = {}
    exec(blocks[0], names)  # embed, compose, detect
    assert (tmp_path / "out" / "garden.json").exists()
    exec(blocks[1], names)  # generate
    assert len(names["pictures"]) == 2
    make_video("green", seconds=1, tone=440, name="clip.mp4")
    exec(next(b for b in blocks if "annotate(" in b), names)
    assert (tmp_path / "out" / "clip.json").exists()
    names["pipe"] = names["generator"].pipe
    pipe, bridge = (next(b for b in blocks if x in b) for x in ("pipe(**", "fit_bridge"))
    exec(pipe.replace("num_inference_steps=20", "num_inference_steps=1"), names)
    exec(bridge, names)
    for block in blocks:
        compile(block, "README.md", "exec")
