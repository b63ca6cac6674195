"""Random members of groups, drawn for many groups at once."""

from __future__ import annotations

import torch
from torch import Tensor


class Groups:
    """Lists of numbers, such as the images of each name, to draw members from.

    Args:
        members: of each group; a group may be empty.

    Attributes:
        sizes: (G,) int64.
    """

    def __init__(self, members: list[list[int]]):
        self.sizes = torch.tensor([len(m) for m in members])
        widest = max(1, int(self.sizes.max()))
        self.table = torch.tensor([[*m, *[0] * (widest - len(m))] for m in members])

    def draw(self, groups: Tensor, generator: torch.Generator) -> Tensor:
        """A random member of each of the (N,) groups, which are not empty: (N,) int64."""
        share = torch.rand(len(groups), generator=generator)
        return self.table[groups, (share * self.sizes[groups]).long()]

    def mean(self, rows: Tensor) -> Tensor:
        """(M, D) rows of all members to (G, D) unit means of the groups; 0 for an empty one."""
        inside = torch.arange(self.table.shape[1]) < self.sizes[:, None]
        total = (rows[self.table] * inside[..., None]).sum(1)
        return torch.nn.functional.normalize(total, dim=-1)
