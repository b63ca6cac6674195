"""Low-rank adapters (Hu et al., LoRA, arXiv 2106.09685): trained by peft, saved as pairs of
matrices, merged into the weights where they are loaded, so that loading needs no peft.

In torch's MultiheadAttention only `in_proj_weight` is adapted: the class reads the weight of its
output projection without calling that layer, so an adapter around it would never be used.
"""

from __future__ import annotations

import math
import re

import torch
from torch import Tensor, nn

from ...errors import BindplugError, MissingDependency, first_line

DEFAULTS = {"r": 8, "alpha": None, "dropout": 0.0, "target": ""}
PACKED = "in_proj_weight"  # of torch.nn.MultiheadAttention


def add_adapter(trunk: nn.Module, settings: dict) -> None:
    """Freeze a trunk and give it trainable adapters, in place.

    Args:
        settings: "r", the rank (8); "alpha" (2 r), the scale is alpha / r; "dropout" (0); "target",
            a regular expression that whole names of linear layers match. By default all linear
            layers are adapted, and the packed projections of attention.

    Raises MissingDependency: peft is not installed; BindplugError: an unknown setting, a value of
    another kind, or nothing that the expression matches."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as err:
        raise MissingDependency("LoRA needs peft; run: pip install 'bindplug[train]'") from err
    if unknown := sorted(set(settings) - set(DEFAULTS)):
        raise BindplugError(f"lora has no {unknown[0]!r}; it has {', '.join(DEFAULTS)}")
    of = {**DEFAULTS, **settings}
    _check(of)
    attention = [m for m in trunk.modules() if isinstance(m, nn.MultiheadAttention)]
    inside = {id(m.out_proj) for m in attention}
    linear = [
        name for name, m in trunk.named_modules() if isinstance(m, nn.Linear)
        and id(m) not in inside
    ]  # fmt: skip
    target = of["target"] or "|".join(name.replace(".", r"\.") for name in linear)
    config = LoraConfig(
        r=of["r"], lora_alpha=of["alpha"] or 2 * of["r"], lora_dropout=of["dropout"],
        target_modules=f"({target})" if target else [],
        target_parameters=[PACKED] if attention and not of["target"] and not of["dropout"] else [],
    )  # fmt: skip
    trunk.requires_grad_(False)
    try:
        inject_adapter_in_model(config, trunk)
    except (ValueError, re.error) as err:
        raise BindplugError(f"lora: {first_line(err)}") from err
    for name, parameter in trunk.named_parameters():
        parameter.requires_grad_("lora_" in name)


def _check(settings: dict) -> None:
    """Raises BindplugError: a value of another kind, or out of range."""
    r, alpha, dropout = (settings[name] for name in ("r", "alpha", "dropout"))
    if type(r) is not int or r < 1:
        raise BindplugError(f"lora: r is {r!r}; give a rank from 1")
    if alpha is not None and not (type(alpha) in (int, float) and 0 < alpha < math.inf):
        raise BindplugError(f"lora: alpha is {alpha!r}; give a positive number")
    if not (type(dropout) in (int, float) and 0 <= dropout < 1):
        raise BindplugError(f"lora: dropout is {dropout!r}; give a number from 0 to below 1")
    if not isinstance(settings["target"], str):
        raise BindplugError(f"lora: target is {settings['target']!r}; give a regular expression")


def adapter_state(trunk: nn.Module) -> dict[str, Tensor]:
    """The adapters of a trunk: for each adapted parameter, by its name before the adapter was
    added, "NAME:A" (r, in) and "NAME:B" (out, r), the scale in B."""
    from peft.tuners.lora import LoraLayer

    out = {}
    for name, module in trunk.named_modules():
        if isinstance(module, LoraLayer) and "default" in module.lora_A:
            name = ".".join(p for p in name.split(".") if p != "base_layer")
            key = f"{name}.{getattr(module, 'parameter_name', 'weight')}"
            out[f"{key}:A"] = module.lora_A["default"].weight.detach()
            out[f"{key}:B"] = module.lora_B["default"].weight.detach() * module.scaling["default"]
    return out


@torch.no_grad()
def merge_adapter(trunk: nn.Module, state: dict[str, Tensor]) -> None:
    """Add B A of every pair of an `adapter_state` to the parameter that it adapts, in place.

    Raises BindplugError: an adapter of another trunk."""
    parameters = dict(trunk.named_parameters())
    for key in [k for k in state if k.endswith(":A")]:
        name = key.removesuffix(":A")
        delta = state[f"{name}:B"].float() @ state[key].float()
        if name not in parameters or parameters[name].shape != delta.shape:
            raise BindplugError(f"the adapter of {name} ({tuple(delta.shape)}) fits no parameter")
        parameters[name].add_(delta.to(parameters[name]))
