"""The released weights by stand-ins: small random models of the same classes, in the folders where
the released ones lie once they are fetched. What loads them is bindplug's and the libraries' own.
"""

import json
import re
from pathlib import Path

import torch

from . import pipelines, region_models

COMMIT = "0" * 39 + "1"
HUGE, LARGE, GIANT = 1024, 768, 1280  # widths of OpenCLIP ViT-H/14, CLIP ViT-L/14, ViT-bigG/14
OPEN_CLIP = {"ViT-B-32": 512, "ViT-L-14": LARGE, "ViT-H-14": HUGE, "ViT-bigG-14": GIANT}


def install(home: Path, hub: Path, golden: Path, monkeypatch) -> None:
    """Stand-ins for all that bindplug's plugins fetch.

    Args:
        home: takes the catalogues' checkpoints; BINDPLUG_HOME from now on.
        hub: takes the repositories of the Hugging Face hub; its cache from now on, and offline.
        golden: the folder tests/golden.
    """
    from huggingface_hub import constants

    monkeypatch.setenv("BINDPLUG_HOME", str(home))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    torch.manual_seed(0)
    _install_imagebind(monkeypatch)
    _install_detic(golden, monkeypatch)
    _install_open_clip(monkeypatch)
    _install_transformers(hub)
    _install_pipelines(hub)


def _install_imagebind(monkeypatch) -> None:
    from bindplug import imagebind as ib
    from bindplug.models.huge import CATALOGUE

    sizes = {"width": 32, "depth": 1, "heads": 2}
    config = ib.ImageBindConfig(
        HUGE, ib.VisionConfig(**sizes), ib.TextConfig(**sizes), ib.AudioConfig(**sizes),
        ib.DepthConfig(**sizes), ib.ThermalConfig(**sizes), ib.IMUConfig(**sizes),
    )  # fmt: skip
    for module in ("config", "checkpoint"):  # that a .pth without sizes is of
        monkeypatch.setattr(f"bindplug.imagebind.{module}.imagebind_huge", lambda: config)
    _put(CATALOGUE[0], ib.ImageBind(config).state_dict(), monkeypatch)


def _install_detic(golden: Path, monkeypatch) -> None:
    """A small Swin Detic with a classifier of LVIS's 1,203 names, under each released name."""
    from bindplug_detic.detector import CATALOGUE

    [state] = torch.load(golden / "detic" / "tinyswin_model.pth", weights_only=True).values()
    for stage in range(3):
        columns = torch.nn.functional.normalize(torch.randn(512, 1204), dim=0)
        columns[:, -1] = 0  # the background
        state[f"roi_heads.box_predictor.{stage}.cls_score.zs_weight"] = columns
    for checkpoint in CATALOGUE:
        _put(checkpoint, {"model": state}, monkeypatch)


def _put(checkpoint, content, monkeypatch) -> None:
    path = checkpoint.path
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    for name, value in {"bytes": path.stat().st_size, "sha256": ""}.items():
        monkeypatch.setitem(vars(checkpoint), name, value)


def _install_open_clip(monkeypatch) -> None:
    import open_clip

    def create_model(name: str, pretrained: str | None = None):
        vision = {"layers": 1, "width": 32, "patch_size": 32, "image_size": 224, "head_width": 16}
        text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
        torch.manual_seed(0)
        return open_clip.CLIP(OPEN_CLIP[name.removesuffix("-quickgelu")], vision, text)

    monkeypatch.setattr(open_clip, "create_model", create_model)


def _install_transformers(hub: Path) -> None:
    from bindplug_gdino.detector import HUB as GROUNDING_DINO
    from bindplug_sam.masker import HUB as SAM

    from bindplug_owl.detector import HUB as OWL

    made = {name: region_models.owl(name) for name in ("owlvit", "owlv2")}
    made |= {name: region_models.sam(name) for name in ("sam", "sam2")}
    made["grounding"] = region_models.grounding_dino()
    for name, repo in (OWL | SAM | GROUNDING_DINO).items():
        for part in made[re.match("[a-z]+2?", name).group()]:  # the model, its processor
            part.save_pretrained(_snapshot(hub, repo, "main"))


def _install_pipelines(hub: Path) -> None:
    from safetensors.torch import save_file

    from bindplug_unclip.pipelines import HUB

    plain = {"sd15-ip-adapter": pipelines.stable_diffusion(), "sdxl-ip-adapter": pipelines.sdxl()}
    made = {
        "stable-unclip-2-1": pipelines.stable_unclip(HUGE),
        "stable-unclip-2-1-small": pipelines.stable_unclip(LARGE),
        "karlo": pipelines.karlo(LARGE),
        "karlo-variation": pipelines.variation(LARGE),
        "kandinsky-2-2": pipelines.kandinsky(GIANT, levels=4),
        **plain,
    }
    for name, entry in HUB.items():
        for revision in {entry["revision"], "main"}:
            folder = _snapshot(hub, entry["repo"], revision)
            made[name].save_pretrained(folder)
            if name.startswith("karlo"):  # as it is released: of a module that diffusers moved
                index = json.loads((folder / "model_index.json").read_text())
                index["text_proj"] = ["unclip", "UnCLIPTextProjModel"]
                (folder / "model_index.json").write_text(json.dumps(index))
        if adapter := entry.get("adapter"):
            attention = plain[name].unet.config.cross_attention_dim
            parts = pipelines.ip_adapter(plain[name], HUGE, attention)
            state = {f"{part}.{k}": v for part, of in parts.items() for k, v in of.items()}
            for revision in {adapter["revision"], "main"}:
                folder = _snapshot(hub, adapter["repo"], revision) / adapter["subfolder"]
                folder.mkdir(exist_ok=True)
                save_file(state, folder / adapter["file"])
    prior = _snapshot(hub, "stabilityai/stable-cascade-prior", "main")
    pipelines.cascade(LARGE).save_pretrained(prior)


def _snapshot(hub: Path, repo: str, revision: str) -> Path:
    """The folder where the hub's library looks for a revision of a repository."""
    place = hub / f"models--{repo.replace('/', '--')}"
    is_commit = re.fullmatch("[0-9a-f]{40}", revision)
    if not is_commit:
        (place / "refs").mkdir(parents=True, exist_ok=True)
        (place / "refs" / revision).write_text(COMMIT)
    folder = place / "snapshots" / (revision if is_commit else COMMIT)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
