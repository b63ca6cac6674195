"""Images and videos to features of EfficientNet-Lite (Apache-2.0, ImageNet-1k)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...transforms.video import read_clips
from .pixels import image_pixels, scale

CLASSES = 1000  # of ImageNet-1k


def transform_image(source, size: int, upright: bool = False) -> Tensor:
    """`image_pixels` as a tensor."""
    return torch.from_numpy(image_pixels(source, size, upright))


def transform_video(
    source, size: int, clips: int | str = "reference"
) -> tuple[Tensor, list[tuple[float, float]]]:
    """A video to (clips * 3, 3, 2, size, size) float32, and the seconds that each clip spans.

    Frames and crops are ImageBind's (`bindplug.transforms.video.transform_video`), in [-1, 1].
    """
    return read_clips(source, size, clips, scale)


def sureness(classifier: nn.Module, features: Tensor) -> Tensor:
    """(B, W) features to the squares of C classes' probabilities, (B, C): of a class that the
    classifier is not sure of next to nothing."""
    return classifier(features).softmax(-1).square()


class ImageTrunk(nn.Module):
    """EfficientNet-Lite and its classifier: (B, 3, S, S), or (B, 3, T, S, S) whose frames are
    averaged, to (B, 1280 + 1000), the features and their `sureness`."""

    def __init__(self, name: str):
        super().__init__()
        import timm

        self.net = timm.create_model(name, num_classes=0).to(memory_format=torch.channels_last)
        self.classifier = nn.Linear(self.net.num_features, CLASSES)
        self.width = self.net.num_features + CLASSES

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        return torch.cat([features, sureness(self.classifier, features)], dim=-1)

    def features(self, x: Tensor) -> Tensor:
        """Images or frames as above to (B, 1280)."""
        if x.ndim == 4:
            return self.net(x.contiguous(memory_format=torch.channels_last))
        frames = x.transpose(1, 2)
        features = self.features(frames.flatten(0, 1))
        return features.unflatten(0, frames.shape[:2]).mean(1)
