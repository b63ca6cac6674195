"""What the trunk's classifier knows of photographs, for an image head: in closed form."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from bindplug.models.small.image import sureness

SHARE = 1.5  # of a class that is certain, in lengths of what the features give
FITS = 0.4  # cosine from which a class's text and a picture's name mean the same
PRIOR = 10.0  # certain sights that each class is believed before it has been right or wrong


@torch.inference_mode()
def class_columns(
    head: nn.Linear, classifier: nn.Linear, classes: Tensor, views: Iterable[tuple[Tensor, Tensor]]
) -> Tensor:
    """(D, 1000) columns that a head needs for the trunk's classes: each class's text, as long as
    the class can be trusted on pictures.

    The classifier was trained on photographs. Of drawings it is often sure and wrong (a round icon
    is a guitar pick), so a class is weighed by its share of right sights, sum p^2 over the pictures
    whose name it fits / sum p^2 over all, `PRIOR` right ones added to both.

    Args:
        head: features to vectors of the space, of any length.
        classes: (1000, D) unit texts of the classes.
        views: (features (N, 1280), unit texts of their names (N, D)) of training pictures.
    """
    right, seen = torch.zeros(2, len(classes))
    lengths = []
    for features, names in views:
        features = features.float()
        sure = sureness(classifier, features)
        right += (sure * (names @ classes.T > FITS)).sum(0)
        seen += sure.sum(0)
        lengths.append(head(features).norm(dim=1).mean())
    trust = (PRIOR + right) / (PRIOR + seen)
    return SHARE * torch.stack(lengths).mean() * (classes * trust[:, None]).T
