import platform
import re
import sys
from importlib import import_module
from importlib.metadata import (
    PackageNotFoundError,
    metadata,
    packages_distributions,
    requires,
    version,
)
from importlib.util import find_spec

import click

from .. import __version__
from ..errors import first_line

NEEDED = (
    "torch", "torchvision", "numpy", "pillow", "soundfile", "safetensors", "click", "tqdm",
    "timm", "open_clip_torch", "diffusers", "transformers", "accelerate", "huggingface_hub",
)  # fmt: skip
OPTIONAL = ("pylance", "torchaudio", "pycocotools", "detectron2")  # beside those of the extras


@click.command()
def doctor():
    """Report which versions, device and plugins are here, and why any of them do not work."""
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
        click.echo(f"device: torch cannot be imported: {err}")
    try:
        if find_spec("torchaudio"):
            import_module("torchaudio")
    except Exception as err:  # a build for another CUDA raises RuntimeError or OSError
        healthy = False
        note = "bindplug does not use it, but transformers imports it"
        fix = "pip uninstall torchaudio, or install the build that matches torch"
        click.echo(f"  torchaudio is broken ({note}): {first_line(err)} -> {fix}")
    for extra, problems in extras().items():
        fix = f"{'; '.join(problems)} -> pip install 'bindplug[{extra}]'"
        click.echo(f"extra      {extra:<12} {fix if problems else 'ok'}")
    from ..models.registry import rows

    for row in rows():
        click.echo(f"{row['kind']:<10} {row['name']:<12} {row['error'] or 'ok'}")
        healthy &= row["error"] is None
    click.echo("all well" if healthy else "something is wrong; see above")
    sys.exit(0 if healthy else 1)


def extras() -> dict[str, list[str]]:
    """For each extra of the installed bindplug what is missing, of a wrong version, or broken."""
    from packaging.requirements import Requirement

    try:
        own_metadata, lines = metadata("bindplug"), requires("bindplug") or []
    except PackageNotFoundError:  # a source tree that is not installed
        return {}
    modules: dict[str, list[str]] = {}
    for module, packages in packages_distributions().items():
        for package in packages:
            modules.setdefault(_plain(package), []).append(module)
    optional = [r for r in map(Requirement, lines) if r.marker]
    found = {}
    for extra in own_metadata.get_all("Provides-Extra") or []:
        own = [r for r in optional if r.marker.evaluate({"extra": extra})]
        problems = (_problem(r, modules.get(_plain(r.name), [])) for r in own)
        found[extra] = [problem for problem in problems if problem]
    return found


def _plain(name: str) -> str:
    """A package's name as it is compared."""
    return re.sub("[-_.]+", "-", name).lower()


def _problem(requirement, modules: list[str]) -> str:
    """Why a package cannot be used, or ""."""
    name = requirement.name
    try:
        found = version(name)
    except PackageNotFoundError:
        return f"{name} is missing"
    if not requirement.specifier.contains(found, prereleases=True):
        return f"{name} {found} is not {requirement.specifier}"
    try:
        for module in sorted(modules):
            if module.isidentifier() and module[0] != "_":
                import_module(module)
    except Exception as err:  # whatever a broken package raises
        return f"{name} does not import: {first_line(err)}"
    return ""
