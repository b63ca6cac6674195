from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory):
    """Nothing is kept in the user's cache."""
    import os

    before = os.environ.get("BINDPLUG_HOME")
    os.environ["BINDPLUG_HOME"] = str(tmp_path_factory.mktemp("home"))
    yield
    os.environ.pop("BINDPLUG_HOME")
    if before is not None:
        os.environ["BINDPLUG_HOME"] = before


@pytest.fixture(scope="session")
def golden():
    return Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden_config(golden):
    """Sizes of the small network whose weights and outputs are in golden/imagebind_tiny."""
    import json

    from bindplug import imagebind as ib

    kw = json.loads((golden / "imagebind_tiny" / "config.json").read_text())["constructor_kwargs"]
    classes = {
        "vision": ib.VisionConfig,
        "text": ib.TextConfig,
        "audio": ib.AudioConfig,
        "depth": ib.DepthConfig,
        "thermal": ib.ThermalConfig,
        "imu": ib.IMUConfig,
    }
    names = {"width": "embed_dim", "depth": "num_blocks", "heads": "num_heads"}
    modalities = {
        modality: make(**{ours: kw[f"{modality}_{theirs}"] for ours, theirs in names.items()})
        for modality, make in classes.items()
    }
    return ib.ImageBindConfig(embed_dim=kw["out_embed_dim"], **modalities)


@pytest.fixture(scope="session")
def imagebind_folder(golden, golden_config, tmp_path_factory):
    """The golden network as an embedder's folder, for what only the class ImageBind does: six
    modalities, random weights."""
    from safetensors.torch import load_file

    from bindplug.imagebind import ImageBind, save_imagebind

    model = ImageBind(golden_config)
    model.load_state_dict(load_file(golden / "imagebind_tiny" / "state_tiny.safetensors"))
    folder = tmp_path_factory.mktemp("imagebind")
    save_imagebind(model, folder, {"space": "golden", "templates": ["{}", "a {}"]})
    return folder


@pytest.fixture(scope="session")
def small_onnx(tmp_path_factory):
    """The small embedder's images, texts and sounds as ONNX."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="the extra [onnx] is not installed")
    from bindplug import export_onnx

    folder = tmp_path_factory.mktemp("onnx") / "small"
    export_onnx("small", folder, ["image", "text", "audio"])
    return folder


@pytest.fixture(scope="session")
def media():
    """The sounds and scenes that are installed with bindplug."""
    from bindplug.storage.examples import media_folder

    return media_folder()


@pytest.fixture
def make_video(tmp_path):
    """Write a short video: make_video(colour, seconds=3, rate=10, tone=Hz or None) gives its path.

    A white bar moves from left to right.
    """
    import av
    import numpy as np
    from PIL import Image, ImageDraw

    def write(colour, seconds=3, rate=10, size=(96, 64), tone=None, name=None):
        path = tmp_path / (name or f"{colour}-{len(list(tmp_path.glob('*.mp4')))}.mp4")
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=rate)
            stream.width, stream.height = size
            sound = None if tone is None else container.add_stream("aac", rate=16_000)
            for i in range(int(seconds * rate)):
                image = Image.new("RGB", size, colour)
                x = size[0] * i / (seconds * rate)
                ImageDraw.Draw(image).rectangle([x, 0, x + 6, size[1]], fill="white")
                frame = av.VideoFrame.from_image(image)
                frame.pts = i
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
            if sound:
                t = np.arange(int(seconds * 16_000)) / 16_000
                wave = (0.3 * np.sin(2 * np.pi * tone * t)).astype(np.float32)[None]
                frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 16_000, 0
                container.mux(sound.encode(frame))
                container.mux(sound.encode())
        return str(path)

    return write


@pytest.fixture(scope="session")
def pipeline_folder(tmp_path_factory):
    """A stable unCLIP pipeline of the real classes, of the space "small", random and very small."""
    import json

    import torch
    from safetensors.torch import save_file
    from stand_ins.pipelines import stable_unclip

    folder = tmp_path_factory.mktemp("pipeline")
    stable_unclip(256).save_pretrained(folder)
    (folder / "bindplug.json").write_text(json.dumps({"space": "small"}))
    memory = torch.nn.functional.normalize(torch.randn(5, 256), dim=-1)
    save_file({"vectors": memory}, folder / "memory.safetensors")
    names = {"sounding": 3, "names": ["dog", "cat", "rain", "castle", "tree"]}
    (folder / "memory.json").write_text(json.dumps(names))
    return folder
