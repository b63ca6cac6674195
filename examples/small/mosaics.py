"""Mosaics of single images: ten objects for the price of a scene, to learn the classes from."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from augment import augment_with_alpha
from data import Pictures
from scenes import SIZE
from torch import Tensor

SMALL, LARGE = SIZE // 4, SIZE // 2  # pixels a tile


class Mosaics:
    """Batches of canvases, half of whose quadrants are one large tile, half four small ones.

    Args:
        small, large: the concepts' images at 64 and 128 pixels.
        vocab: other names' images at 64; a third of the small tiles.
        grounds: photographs that two images of five are put on.
    """

    def __init__(self, small: Pictures, large: Pictures, vocab: Pictures, grounds: list[Tensor]):
        self.small, self.large, self.vocab, self.grounds = small, large, vocab, grounds
        self.known = torch.tensor([i for i, of in enumerate(vocab.of) if len(of)])

    def draw(
        self, g: torch.Generator, count: int, hard_share: float
    ) -> tuple[Tensor, list[Tensor], Tensor, Tensor]:
        """Images (count, 3, SIZE, SIZE) in [0, 1], boxes of each, and in their order all labels and
        all pictures' numbers.

        Both number the concepts first, then the vocabulary.
        """
        quadrants = 4 * count
        split = quadrants // 2
        others = 4 * split // 3
        names = self._concepts(4 * split - others + quadrants - split, g)
        names, large_names = names[: 4 * split - others], names[4 * split - others :]
        other_names = self.known[torch.randperm(len(self.known), generator=g)[:others]]
        chosen = self.small.groups.draw(names, g)
        others = self.vocab.groups.draw(other_names, g)
        rgba = torch.cat([self.small.rgba[chosen], self.vocab.rgba[others]])
        pictures = torch.cat([chosen, others + len(self.small.rgba)])
        labels = torch.cat([names, other_names + len(self.small.names)])
        order = torch.randperm(len(rgba), generator=g)
        tiles, boxes = self._tiles(rgba[order], SMALL, g, hard_share)
        large_pictures = self.large.groups.draw(large_names, g)
        large = self.large.rgba[large_pictures]
        large_tiles, large_boxes = self._tiles(large, LARGE, g, hard_share)

        images = torch.empty(count, 3, SIZE, SIZE)
        found: list[list[Tensor]] = [[] for _ in range(count)]
        found_labels: list[list[Tensor]] = [[] for _ in range(count)]

        def put(tile: Tensor, box: Tensor, label: Tensor, where: int, x: int, y: int) -> None:
            side = tile.shape[-1]
            images[where, :, y : y + side, x : x + side] = tile
            found[where].append(box + torch.tensor([x, y, x, y]))
            found_labels[where].append(label)

        labels = torch.stack([labels, pictures], 1)[order]
        large_labels = torch.stack([large_names, large_pictures], 1)
        places = torch.randperm(quadrants, generator=g).tolist()
        for i, place in enumerate(places):
            where, x, y = place // 4, place % 2 * LARGE, place // 2 % 2 * LARGE
            if i < split:
                for j in range(4):
                    k, dx, dy = 4 * i + j, j % 2 * SMALL, j // 2 * SMALL
                    put(tiles[k], boxes[k], labels[k], where, x + dx, y + dy)
            else:
                k = i - split
                put(large_tiles[k], large_boxes[k], large_labels[k], where, x, y)
        both = torch.stack([n for row in found_labels for n in row])
        return images, [torch.stack(b) for b in found], both[:, 0], both[:, 1]

    def _concepts(self, count: int, g: torch.Generator) -> Tensor:
        """`count` concept ids, every concept as often as the others."""
        total = len(self.small.names)
        rounds = [torch.randperm(total, generator=g) for _ in range(-(-count // total))]
        return torch.cat(rounds)[:count]

    def _tiles(
        self, rgba: Tensor, side: int, g: torch.Generator, hard_share: float
    ) -> tuple[Tensor, Tensor]:
        """(B, 3, side, side) augmented images and the (B, 4) boxes of what is drawn on them."""
        rgba = F.interpolate(rgba.float(), size=(side, side), mode="bilinear").byte()
        image, alpha = augment_with_alpha(rgba, g, hard_share, self.grounds)
        mask = alpha[:, 0] > 0.5
        edges = []
        for axis in (1, 2):
            line = mask.any(axis).float()
            edges.append((line.argmax(1), side - line.flip(1).argmax(1)))
        (x0, x1), (y0, y1) = edges
        return image, torch.stack([x0, y0, x1, y1], 1).float()
