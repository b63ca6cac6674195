"""The trained towers as a folder that loads as an embedder, with a model card."""

from __future__ import annotations

from pathlib import Path

from .. import __version__
from ..models.towers.folder import Description, save_towers
from ..storage.atomic import write_file
from ..storage.state_dict import state_digest
from .figures import TEMPLATES
from .prepare import Setup
from .settings import Settings, to_toml


def export(folder: Path, settings: Settings, setup: Setup, report: dict, command: str) -> str:
    """Write `config.json`, `model.safetensors` and `README.md`; returns the name of the space.

    The space is that of the base where it is kept (`Parts.keeps_space`), else new, and named by
    `--space` or by the weights.
    """
    parts = setup.parts
    space = _space(settings, setup)
    scales = {m: loss.scale().item() for m, loss in setup.binder.losses.items()}
    for modality, spec in parts.specs.items():
        if spec.kind == "embedder" and modality not in scales:
            scales[modality] = setup.parts.towers[modality].trunk.embedder.logit_scale(modality)
    templates = settings.template or getattr(parts.base, "templates", None) or TEMPLATES
    card = {
        "bindplug": __version__, **setup.described, "licence": list(settings.licence),
        "steps": report["exported step"], "seed": settings.seed,
    }  # fmt: skip
    description = Description(space, parts.width, parts.specs, {}, scales, tuple(templates), card)
    save_towers(folder, description, parts.towers)
    text = model_card(settings, setup, space, report, command)
    write_file(folder / "README.md", lambda f: f.write(text.encode("utf-8", "surrogateescape")))
    return space


def _space(settings: Settings, setup: Setup) -> str:
    if setup.parts.keeps_space:
        return setup.parts.towers["image"].trunk.embedder.space
    if settings.space:
        return settings.space
    return f"{Path(settings.name).name}-{state_digest(setup.binder.state_dict())[:8]}"


def model_card(settings: Settings, setup: Setup, space: str, report: dict, command: str) -> str:
    """Markdown: what it is, how it is loaded, data, licences, figures, settings."""
    towers = []
    for modality, spec in setup.parts.specs.items():
        tower = setup.parts.towers[modality]
        count = sum(p.numel() for p in tower.parameters() if p.requires_grad)
        state = f"{count:,} parameters trained" if count else "frozen"
        what = " ".join(x for x in (spec.kind, spec.name) if x)
        towers.append(f"| {modality} | {what} | {state} |")
    figures = [
        f"| {name} | {f['value']} | {f['low']} to {f['high']} |"
        for name, f in report["figures"].items()
    ]
    licences = [f"- {x}" for x in settings.licence] or ["- not given"]
    bound = " and ".join(setup.described["bound"])
    out = [
        f"# {Path(settings.name).name}", "",
        f"An embedder of {', '.join(setup.parts.specs)} into the space `{space}` "
        f"({setup.parts.width}-d). {bound.capitalize()} was bound to images, as ImageBind does it "
        "(arXiv 2305.05665), with bindplug.", "",
        "```python", "import bindplug", "",
        f'embedder = bindplug.load_embedder("local:{report["folder"]}/model")', "```", "",
        "| tower | trunk | |", "|---|---|---|", *towers, "",
        "## Data", "",
        *(f"- `{place}`" for place in setup.described["data"]),
        f"- {setup.described['rows']} pairs, {report['left out']} left out", "",
        "Licences:", "", *licences, "",
        "## Figures", "",
        *(["| on the validation data | share | 95 % interval |", "|---|---|---|", *figures]
          if figures else ["None was measured: no validation data was given."]), "",
        "## Training", "",
        f"{report['exported step']} steps, seed {settings.seed}, bindplug {__version__}.", "",
        *(["```", command, "```", ""] if command else []),
        "```toml", to_toml(settings).rstrip(), "```", "",
    ]  # fmt: skip
    return "\n".join(out)
