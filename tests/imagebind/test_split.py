"""The released file's path, on the golden small network: split once, refused when it is wrong."""

import pytest
import torch
from safetensors.torch import load_file

from bindplug import BindplugError
from bindplug.imagebind import ImageBind, checkpoint, load_imagebind
from bindplug.imagebind.split import verify_parts
from bindplug.storage.cache_dir import derived_folder


@pytest.fixture
def released(golden, golden_config, tmp_path, monkeypatch):
    """A .pth of the small network, which stands for imagebind_huge here."""
    folder = golden / "imagebind_tiny"
    monkeypatch.setattr(checkpoint, "imagebind_huge", lambda: golden_config)
    monkeypatch.setenv("BINDPLUG_HOME", str(tmp_path / "home"))
    path = tmp_path / "imagebind_huge.pth"
    torch.save(load_file(folder / "state_tiny.safetensors"), path)
    return path


def test_first_use_splits_and_later_uses_read_the_part(released):
    state = torch.load(released, weights_only=True)
    model = load_imagebind(released, ["audio"])
    assert list(model.modality_trunks) == ["audio"]
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key
    folder = derived_folder(released)
    modalities = ["audio", "depth", "imu", "text", "thermal", "vision"]
    assert sorted(p.stem for p in folder.glob("*.safetensors")) == modalities
    assert not list(folder.glob("*.part"))
    assert sorted(verify_parts(released)) == modalities
    parts = {k: v for s in modalities for k, v in load_file(folder / f"{s}.safetensors").items()}
    assert parts.keys() == state.keys() and all(torch.equal(parts[k], state[k]) for k in state)
    for other in modalities:
        if other != "audio":
            (folder / f"{other}.safetensors").unlink()
    assert load_imagebind(released, ["audio"])  # needs no other part
    whole = load_imagebind(released)  # writes again what is missing
    assert whole.state_dict().keys() == state.keys()


def test_an_interrupted_split_goes_on(released, monkeypatch):
    from bindplug.imagebind import split

    real, calls = split.write_safetensors, []

    def stop_at_third(path, tensors):
        calls.append(path.name)
        if len(calls) == 3:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        return real(path, tensors)

    monkeypatch.setattr(split, "write_safetensors", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        load_imagebind(released)
    load_imagebind(released)
    assert len(calls) == 3 + 4, "a part was written twice"
    assert not list(derived_folder(released).glob("*.part"))


def test_a_full_disk_reads_the_whole_file(released, monkeypatch, caplog):
    from bindplug.imagebind import split

    class Full:
        free = 10

    monkeypatch.setattr(split.shutil, "disk_usage", lambda p: Full())
    assert load_imagebind(released, ["audio"])
    assert "are free" in caplog.text and not list(derived_folder(released).glob("*.safe*"))


def test_a_damaged_part_is_found(released):
    load_imagebind(released, ["text"])
    part = derived_folder(released) / "text.safetensors"
    data = bytearray(part.read_bytes())
    data[-3] ^= 1
    part.write_bytes(data)
    with pytest.raises(BindplugError, match="damaged"):
        verify_parts(released)
    assert not part.exists() and load_imagebind(released, ["text"])


@pytest.mark.parametrize("fault", ["extra", "missing", "shape", "kind"])
def test_another_checkpoint_is_refused_by_its_first_wrong_key(released, fault):
    state = torch.load(released, weights_only=True)
    key = "modality_heads.depth.2.weight"
    if fault == "extra":
        state["modality_heads.smell.weight"] = torch.zeros(1)
        key = "modality_heads.smell.weight"
    elif fault == "missing":
        del state[key]
    else:
        state[key] = torch.zeros(3) if fault == "shape" else "no tensor"
    torch.save(state, released)
    with pytest.raises(BindplugError, match=key):
        load_imagebind(released, ["audio"])
    assert not derived_folder(released).exists()


def test_nothing_is_unpickled(released):
    torch.save(ImageBind, released)  # a class, which weights_only refuses
    with pytest.raises(BindplugError, match="cannot be read as weights"):
        load_imagebind(released)


def test_unsplit_the_file_is_read_as_it_is(released):
    from bindplug import load_embedder

    plain = load_embedder(f"local:{released}", "cpu", split=False).embed(text="a dog")
    assert not derived_folder(released).exists() and not verify_parts(released)
    split = load_embedder(f"local:{released}", "cpu").embed(text="a dog")
    assert verify_parts(released) and (split.vectors == plain.vectors).all()


def test_unsplit_on_the_command_line(released):
    from click.testing import CliRunner

    from bindplug.cli import main

    arguments = ["embed", "--text", "a dog", "--model", f"local:{released}", "--no-split"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert not verify_parts(released)
