"""bindplug bridge: build, list, show, explain."""

import json

import pytest


@pytest.fixture(autouse=True)
def cache_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("BINDPLUG_HOME", str(tmp_path / "home"))


def test_build_list_show(run, tmp_path):
    (tmp_path / "v.txt").write_text("dog\ncat\nrain\npiano\n")
    result = run("bridge", "build", "--vocabulary", "v.txt", "--template", "a {}")
    assert result.exit_code == 0 and "4 words" in result.stderr
    rows = json.loads(run("bridge", "list", "--json").stdout)
    assert sorted((r["space"], r["texts"]) for r in rows) == [("small", 16), ("small-clip", 4)]
    for kind in ("vocabulary", "linear"):
        shown = run("bridge", "show", "--vocabulary", "v.txt", "--kind", kind)
        assert "100.0% of its words" in shown.stdout


def test_explain(run, media):
    result = run("bridge", "explain", "--audio", media / "horse.wav", "--text", "a dog")
    first, second = result.stdout.splitlines()
    assert first.split("  ")[1].split()[1].startswith("horse") and "dog" in second
    result = run("bridge", "explain", "--audio", media / "cat.wav", "--json", "-")
    assert any(word.endswith("cat") for word in json.loads(result.stdout)[0]["words"])
    data = json.loads(run("bridge", "explain", "--text", "a dog", "--json", "-").stdout)
    assert next(iter(data[0]["words"])) == "dog"


def test_refused(refused):
    refused("bridge", "explain", words="--audio FILE")
    refused("bridge", "build", "--kind", "magic", words="no bridge 'magic'")
    refused("bridge", "build", "--template", "a dog", words="{}")
    refused("bridge", "build", "--to", "nowhere", words="no embedder 'nowhere'")
