"""How a tower is named: MODALITY=KIND[:NAME][,KEY=VALUE...]."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from ...errors import BindplugError, check_choice
from .tower import HEADS


@dataclass(frozen=True)
class TowerSpec:
    """A tower before it is built.

    Attributes:
        kind: "imagebind", "timm", "open_clip", "transformers" or an entry point of
            `bindplug.trunks`; "embedder", the frozen tower of an embedder; "tower", that of a saved
            folder, which an adapter was trained for; "train" or "lora", that of the embedder that
            training starts from.
        name: of the model or embedder, as its kind has it.
        arguments: of the trunk.
        head: "linear", "mlp", "none", or "" for the kind's own default.
        dropout: of the features before the head.
        lora: settings of a low-rank adapter ("r", "alpha", "dropout", "target"); {} for none.
    """

    modality: str
    kind: str
    name: str = ""
    arguments: dict = field(default_factory=dict)
    head: str = ""
    dropout: float = 0.0
    lora: dict = field(default_factory=dict)

    def to_dict(self) -> dict:
        """For JSON; the inverse of `TowerSpec(**data)`."""
        return {k: v for k, v in asdict(self).items() if v not in ("", 0.0, {})}


def parse_tower(text: str) -> TowerSpec:
    """A tower from its text.

    `audio=imagebind:width=128,depth=4,heads=4`, `image=timm:resnet18,pretrained=true,head=mlp`,
    `image=small` (an embedder's name), `audio=lora:r=16`, `audio=train`.
    Raises BindplugError: no modality or kind, a value without a key, an unknown head."""
    modality, given, rest = text.partition("=")
    kind, _, rest = rest.partition(":")
    if kind.partition(",")[1]:
        kind, _, rest = f"{kind}:{rest}".rstrip(":").partition(",")
    modality, kind = modality.strip(), kind.strip()
    if not (given and modality and kind):
        raise BindplugError(
            f"tower {text!r}; write it as audio=timm:resnet18, image=small or audio=lora:r=16"
        )
    name, arguments = "", {}
    for i, part in enumerate(filter(None, rest.split(","))):
        key, is_pair, value = part.partition("=")
        if is_pair and "/" not in key:
            arguments[key.strip().replace("-", "_")] = _value(value)
        elif i == 0:
            name = part
        else:
            raise BindplugError(f"tower {text!r}: {part!r} is not KEY=VALUE")
    if kind in ("local", "hf"):
        kind, name = "embedder", f"{kind}:{name}"
    if kind == "lora":
        lora, arguments = arguments, {}
    else:
        lora = {
            k.removeprefix("lora_").replace("lora", "r"): arguments.pop(k)
            for k in list(arguments)
            if k.startswith("lora")
        }
    head = str(arguments.pop("head", ""))
    check_choice("head", head or "none", HEADS)
    dropout = arguments.pop("dropout", 0.0)
    if not isinstance(dropout, (int, float)) or not 0 <= dropout < 1:
        raise BindplugError(f"tower {text!r}: dropout is a number from 0 to below 1")
    return TowerSpec(modality, kind, name, arguments, head, float(dropout), lora)


def _value(text: str):
    try:
        return json.loads(text)
    except ValueError:
        return text
