"""The first commit of a hub repository is kept, and --offline holds for every library."""

import shutil
import time
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants

import bindplug
from bindplug import BindplugError
from bindplug.models.hub import open_pretrained, record_commit, recorded_commit
from bindplug.storage.cache_dir import hub_access

OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty cache folder, an empty hub cache, and nothing that says offline."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("BINDPLUG_HOME", str(tmp_path / "home"))
    for name in ("BINDPLUG_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def test_the_first_commit_is_kept_and_said_once(home, caplog):
    assert recorded_commit("org/model") is None
    record_commit("org/model", None)
    for commit in (OLD, NEW):
        record_commit("org/model", commit)
        assert recorded_commit("org/model") == OLD
    assert [r.name for r in caplog.records] == ["bindplug"] and OLD in caplog.text
    record_commit("org/other", NEW)
    assert (recorded_commit("org/model"), recorded_commit("org/other")) == (OLD, NEW)


def test_a_cache_that_cannot_be_written_is_no_reason_not_to_load(home, caplog):
    home.mkdir()
    (home / "commits").write_text("no folder")
    record_commit("org/model", OLD)
    assert recorded_commit("org/model") is None and not caplog.records


def test_names_of_transformers_models_are_pinned(tmp_path):
    asked, head = [], [OLD]

    class Model(torch.nn.Module):
        @classmethod
        def from_pretrained(cls, path, **options):
            asked.append((path, options.get("revision")))
            model = cls()
            model.config = SimpleNamespace(_commit_hash=options.get("revision", head[0]))
            return model

    def load(weights):
        return open_pretrained(
            Model, Model, weights, {"m": "org/model"}, "a model", "cpu", "float32"
        )

    assert load("m")[2] == "org/model"
    head[0] = NEW
    load("m")
    assert asked == [("org/model", None)] + [("org/model", OLD)] * 3
    load(f"local:{tmp_path}")
    assert asked[4:] == [(str(tmp_path), None)] * 2


def test_names_of_imagebind_repositories_are_pinned(tmp_path, monkeypatch, imagebind_folder):
    asked, head = [], [OLD]

    def snapshot_download(repo, revision, **options):
        asked.append(revision)
        folder = tmp_path / (revision or head[0])
        shutil.copytree(imagebind_folder, folder, dirs_exist_ok=True)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    for name in ("org/model@v2", "org/model", "org/model", "org/model@v2"):
        bindplug.load_embedder(f"hf:{name}", "cpu")
    head[0] = NEW
    bindplug.load_embedder("hf:org/model", "cpu")
    assert asked == ["v2", None, OLD, "v2", OLD]


def test_the_hub_is_offline_inside_only(monkeypatch):
    with hub_access():
        assert not huggingface_hub.is_offline_mode()
    monkeypatch.setenv("BINDPLUG_OFFLINE", "1")
    inside = []

    def fail():
        with hub_access():
            inside.append(huggingface_hub.is_offline_mode())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert inside == [True] and not huggingface_hub.is_offline_mode()


def load_open_clip():
    pytest.importorskip("open_clip")
    bindplug.load_embedder("openai-clip-vit-l-14", "cpu").embed(text="dog")


def load_ip_adapter(monkeypatch):
    import diffusers
    from diffusers.loaders.ip_adapter import IPAdapterMixin

    class Pipeline(IPAdapterMixin):
        """The pipeline is here, its adapter is not."""

        from_pretrained = classmethod(lambda cls, *args, **options: cls())

    monkeypatch.setattr(diffusers, "DiffusionPipeline", Pipeline)
    bindplug.load_generator("unclip", "sd15-ip-adapter", device="cpu")


@pytest.mark.parametrize("library", ["open_clip", "diffusers", "transformers", "imagebind"])
def test_an_offline_failure_is_one_clear_line_at_once(monkeypatch, caplog, library):
    monkeypatch.setenv("BINDPLUG_OFFLINE", "1")
    load = {
        "open_clip": load_open_clip,
        "diffusers": lambda: load_ip_adapter(monkeypatch),
        "transformers": lambda: bindplug.load_detector("owl", "owlvit-base", device="cpu"),
        "imagebind": lambda: bindplug.load_embedder("hf:org/model", "cpu"),
    }[library]
    for _ in range(2):  # the first one may import the library
        start = time.perf_counter()
        with pytest.raises(BindplugError, match="bindplug is offline") as caught:
            load()
        seconds = time.perf_counter() - start
    assert seconds < 1 and "\n" not in str(caught.value) and caught.value.exit_code == 3
    assert str(constants.HF_HUB_CACHE) in str(caught.value) and not caplog.records
