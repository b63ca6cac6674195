"""Commits of hub repositories are resolved once, and --offline holds for every library."""

import json
import time

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants

import bindplug
from bindplug import BindplugError
from bindplug.models.hub import offline_hub, open_pretrained, pinned_revision

OLD, NEW = "a" * 40, "b" * 40


class Info:
    def __init__(self, sha):
        self.sha = sha


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub whose main branches are at `hub.head`; `hub.asked` counts requests."""

    class Hub:
        head, asked, home = OLD, 0, tmp_path / "home"

        def repo_info(self, repo, **options):
            Hub.asked += 1
            if Hub.head is None:
                raise ConnectionError("no network\nat all")
            return Info(Hub.head)

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("BINDPLUG_HOME", str(Hub.home))
    for name in ("BINDPLUG_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return Hub


def test_the_first_commit_is_used_ever_after(hub, monkeypatch, caplog):
    assert pinned_revision("org/model") == OLD
    hub.head = NEW
    assert pinned_revision("org/model") == OLD and pinned_revision("org/other") == NEW
    monkeypatch.setenv("BINDPLUG_OFFLINE", "1")
    assert pinned_revision("org/model") == OLD and pinned_revision("org/absent") is None
    assert json.loads((hub.home / "hub.json").read_text()) == {"org/model": OLD, "org/other": NEW}
    assert hub.asked == 2
    assert len([r for r in caplog.records if "hf:org/model" in r.getMessage()]) == 1


def test_a_hub_out_of_reach_and_a_damaged_record(hub, tmp_path):
    hub.head = None
    assert pinned_revision("org/model") is None
    head = tmp_path / "hub" / "models--org--model" / "refs" / "main"
    head.parent.mkdir(parents=True)
    head.write_text(NEW)
    assert pinned_revision("org/model") == NEW
    for damage in ("{", "[1]", '{"org/model": 1}'):
        (hub.home / "hub.json").write_text(damage)
        with pytest.raises(BindplugError, match=r"hub\.json.*delete it"):
            pinned_revision("org/model")


def test_a_cache_that_cannot_be_written_is_no_reason_not_to_load(hub, caplog):
    (hub.home / "hub.json.lock").mkdir(parents=True)
    assert pinned_revision("org/model") == OLD and "is not pinned" in caplog.text


def test_names_of_transformers_models_are_pinned(hub, tmp_path):
    asked = []

    class Model(torch.nn.Module):
        @classmethod
        def from_pretrained(cls, path, **options):
            asked.append((path, options))
            return cls()

    def load(weights):
        return open_pretrained(
            Model, Model, weights, {"m": "org/model"}, "a model", "cpu", "float32"
        )

    assert load("m")[2] == "org/model"
    hub.head = NEW
    load("m")
    assert asked == [("org/model", {"local_files_only": False, "revision": OLD})] * 4
    load(f"local:{tmp_path}")
    assert asked[4:] == [(str(tmp_path), {"local_files_only": False})] * 2


def test_names_of_imagebind_repositories_are_pinned(hub, monkeypatch):
    asked = []

    def snapshot_download(repo, revision, **options):
        asked.append((repo, revision))
        raise FileNotFoundError("nothing here\nnor there")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    for name in ("org/model", "org/model@v2", "org/model"):
        with pytest.raises(BindplugError, match=r"cannot be fetched: nothing here$"):
            bindplug.load_embedder(f"hf:{name}", "cpu")
        hub.head = NEW
    assert asked == [("org/model", OLD), ("org/model", "v2"), ("org/model", OLD)]


def test_the_hub_is_offline_inside_only(hub, monkeypatch):
    with offline_hub():
        assert not huggingface_hub.is_offline_mode()
    monkeypatch.setenv("BINDPLUG_OFFLINE", "1")
    inside = []

    def fail():
        with offline_hub():
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
def test_an_offline_failure_is_one_clear_line_at_once(hub, monkeypatch, caplog, library):
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
    assert seconds < 1 and "\n" not in str(caught.value)
    assert str(constants.HF_HUB_CACHE) in str(caught.value) and not caplog.records
