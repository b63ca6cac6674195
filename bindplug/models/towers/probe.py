"""Inputs that are the same everywhere, to tell networks apart by what they make of them."""

from __future__ import annotations

import torch

from ...errors import BindplugError

SECONDS = 6  # of sounds, videos and motion


def probe(modality: str):
    """An input of a modality: a text, a colour gradient, a rising tone, waves.
    Raises BindplugError: a modality that bindplug does not know."""
    ramp = torch.linspace(0, 1, 64)
    if modality == "text":
        return "a photo of a dog"
    if modality in ("image", "video"):
        x = torch.stack([ramp[:, None] * ramp, ramp[:, None].expand(64, 64), ramp.expand(64, 64)])
        x = (255 * x).round().byte()
        return (
            x
            if modality == "image"
            else (x.permute(1, 2, 0).expand(SECONDS * 10, -1, -1, -1).numpy(), 10)
        )
    if modality == "audio":
        t = torch.arange(SECONDS * 16_000) / 16_000
        return (0.5 * torch.sin(2 * torch.pi * (300 + 200 * t) * t)).numpy(), 16_000
    if modality in ("depth", "thermal"):
        return 1 + ramp[:, None] + ramp
    if modality == "imu":
        t = torch.arange(SECONDS * 400) / 400
        return torch.stack([torch.sin((i + 1) * t) for i in range(6)]).numpy(), 400
    raise BindplugError(f"no input of {modality} is known here")
