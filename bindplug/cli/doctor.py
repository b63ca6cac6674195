import platform
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import click

from .. import __version__
from ..errors import first_line

NEEDED = (
    "torch", "torchvision", "numpy", "pillow", "soundfile", "safetensors", "click", "tqdm",
    "timm", "open_clip_torch", "diffusers", "transformers", "accelerate", "huggingface_hub",
)  # fmt: skip
OPTIONAL = (
    "onnxruntime", "faiss-cpu", "lancedb", "mteb", "ray", "pylance", "torchaudio", "pycocotools",
    "detectron2",
)  # fmt: skip


@click.command()
def doctor():
    """Say which versions, device and plugins are here, and if something is missing, why."""
    healthy = True
    click.echo(f"bindplug {__version__}, Python {platform.python_version()}, {platform.system()}")
    for name in NEEDED + OPTIONAL:
        try:
            click.echo(f"  {name:<18} {version(name)}")
        except PackageNotFoundError:
            if name in NEEDED:
                healthy = False
                click.echo(f"  {name:<18} MISSING: pip install {name}")
    try:
        import torch

        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
        click.echo(f"device: GPU {gpu}; CPU with {torch.get_num_threads()} threads")
    except Exception as err:
        healthy = False
        click.echo(f"device: torch does not import: {err}")
    try:
        if find_spec("torchaudio"):
            import_module("torchaudio")
    except Exception as err:  # a build for another CUDA raises RuntimeError or OSError
        healthy = False
        note = "bindplug does not use it, but transformers imports it"
        fix = "pip uninstall torchaudio, or match it"
        click.echo(f"  torchaudio is broken ({note}): {first_line(err)} -> {fix}")
    from ..models.registry import rows

    for row in rows():
        click.echo(f"{row['kind']:<10} {row['name']:<12} {row['error'] or 'ok'}")
        healthy &= row["error"] is None
    click.echo("all well" if healthy else "something is wrong; see above")
    sys.exit(0 if healthy else 1)
