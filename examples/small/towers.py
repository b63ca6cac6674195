"""Trunks of `bindplug train` that the recipes in TOML name: `audio=effects` and `text=words`.

They are read from their packages (folder WHEELS): the copies that ship were trained further.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from bindplug.errors import BindplugError
from bindplug.models.small.audio import EffectsTrunk, transform_audio
from bindplug.models.small.text import with_hidden
from bindplug.models.small.words import UNKNOWN, WordTable, word_key
from bindplug.models.towers.tower import Trunk
from bindplug.storage.text_file import read_text


def packages():
    """The module that reads the packages; its folder is no package itself."""
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    import trunks

    return trunks


def with_own_rows(
    words: list[str], rows: dict[str, int], table: Tensor
) -> tuple[dict[str, int], Tensor]:
    """A table of word vectors in which some words have rows of their own.

    Args:
        words: those. rows: of the others, in the (R, C) `table`, as `principal_vectors` gives them.

    Returns:
        The row of each word, and a (1 + len(words) + R, C) table: row 0 stands for no word, `words`
        follow with the vectors that they had, or 0, and then the table as it was."""
    own = torch.zeros(1 + len(words), table.shape[1])
    index = {word: len(own) + row for word, row in rows.items()}
    for row, word in enumerate(words, 1):
        if word in rows:
            own[row] = table[rows[word]]
        index[word] = row
    return index, torch.cat([own, table])


class Effects(Trunk):
    """aiSFX: (B, 100, 96) log-mel blocks to (B, 1536) features.

    Args:
        pretrained: read the weights from the package.
    """

    modalities = ("audio",)
    clip_seconds, frequency_axis = 2.3, -1

    def __init__(self, pretrained: bool = False):
        super().__init__()
        self.pretrained, self.width = pretrained, EffectsTrunk.width
        self.net = packages().audio_trunk() if pretrained else EffectsTrunk()

    def transform(self, modality: str, item, **options) -> tuple[Tensor, tuple]:
        clips, bounds = transform_audio(item, **options)
        return clips, tuple(bounds)

    def options(self, modality: str) -> tuple[str, ...]:
        return ("clips", "normalize", "channel")

    def skeleton(self, name: str, arguments: dict) -> tuple[str, dict]:
        return name, {}

    def blocks(self) -> list[nn.Module]:
        return [getattr(self.net, f"conv_block{i}") for i in range(1, 5)]

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Words(Trunk):
    """Texts to (B, hidden + width) features, as the shipped text trunk: a weighted mean of word
    vectors, and a hidden layer. A vector is spaCy's, turned; for words that training meets, one of
    their own is added, since spaCy's table gives one vector to many (horse and frog, say).

    Args:
        pretrained: read spaCy's vectors from their package.
        words: a file of the words that training meets, one per line.
        keys, rows, components: of the table, where it is not read.
        own: rows of it, the first ones, that have a vector and weight of their own; 0 for all.
        width: of a word vector. hidden: units of the layer.
    """

    modalities = ("text",)

    def __init__(
        self, pretrained: bool = False, words: str = "", keys: int = 0, own: int = 0,
        rows: int = 1, components: int = 128, width: int = 96, hidden: int = 384,
    ):  # fmt: skip
        super().__init__()
        self.pretrained, self.width = pretrained, hidden + width
        given, rows_of = torch.zeros(rows, components), torch.zeros(keys, 2, dtype=torch.int64)
        if pretrained:
            if not words:
                raise BindplugError(
                    "text=words: name the file of words that lines.py writes, words=runs/words.txt"
                )
            met = read_text(words).split()
            index, given = with_own_rows(met, *packages().principal_vectors())
            own = 1 + len(met)
            rows_of = torch.tensor(sorted({word_key(w): row for w, row in index.items()}.items()))
        self.register_buffer("given", given)
        self.register_buffer("rows_of", rows_of)  # a word's key and its row
        self._table: WordTable | None = None
        own = own or rows
        self.own, self.weights = nn.Embedding(own, width), nn.Embedding(own, 1)
        self.turn = nn.Linear(given.shape[1], width, bias=False)
        self.hidden = nn.Linear(width, hidden)
        nn.init.zeros_(self.own.weight)
        nn.init.zeros_(self.weights.weight)

    def transform(self, modality: str, item, **options) -> tuple[Tensor, tuple]:
        if self._table is None:
            self._table = WordTable(*self.rows_of.T.cpu().numpy())
        return torch.from_numpy(self._table(item))[None], ()

    def skeleton(self, name: str, arguments: dict) -> tuple[str, dict]:
        rows, components = self.given.shape
        own, width = self.own.weight.shape
        sizes = {"keys": len(self.rows_of), "own": own, "rows": rows, "components": components}
        return name, sizes | {"width": width, "hidden": self.hidden.out_features}

    def forward(self, ids: Tensor) -> Tensor:
        own = ids * (ids < len(self.own.weight))  # of all other words row 0, which is never met
        share = self.weights(own).masked_fill(ids[..., None] == UNKNOWN, -1e9).softmax(dim=1)
        vectors = self.own(own) + self.turn(self.given[ids])
        return with_hidden(self.hidden, (share * vectors).sum(dim=1))
