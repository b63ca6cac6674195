"""Both heads of a space in training: word vectors, and linear heads on cached features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from known_words import StandIns
from torch import Tensor, nn
from towers import with_own_rows
from trunks import COMPONENTS, principal_vectors

from bindplug.device import mixed_precision
from bindplug.models.small.image import ImageTrunk, sureness
from bindplug.models.small.pixels import scale
from bindplug.models.small.text import TextTrunk, with_hidden
from bindplug.models.small.words import word_key, words_of
from bindplug.storage.state_dict import state_digest
from bindplug.training import Standardise

LENGTH = 20  # words that are read in training


@dataclass(frozen=True)
class Space:
    """Sizes of a space, and how it is trained."""

    width: int
    words: int  # width of a word vector
    hidden: int  # units of the text trunk's hidden layer
    steps: int
    dropout: float
    seed: int


class Words(nn.Module):
    """Means of word vectors in training: spaCy's, turned, plus one of its own for each word that
    training meets; and a weight for each.

    Args:
        names: of `texts`, those whose words keep a row of their own when they are saved.

    Attributes:
        index: words to rows; a row past the first `own` is spaCy's.
        rare: words met but twice, and in no name; they are saved with spaCy's rows, given here.
    """

    def __init__(self, texts: list[str], names: list[str], width: int):
        super().__init__()
        counts = Counter(w for text in texts for w in words_of(text))
        known = [w for w, n in counts.most_common() if n > 1]
        rows, table = principal_vectors()
        self.own = len(known) + 1
        named = {w for text in names for w in words_of(text)}
        self.rare = {
            w: self.own + rows[w] for w in known
            if counts[w] == 2 and w in rows and w not in named
        }  # fmt: skip
        self.index, given = with_own_rows(known, rows, table)
        self.register_buffer("given", given)
        self.vectors, self.weights = nn.Embedding(self.own, width), nn.Embedding(self.own, 1)
        self.turn = nn.Linear(COMPONENTS, width, bias=False)
        nn.init.normal_(self.vectors.weight, std=0.3)
        often = torch.tensor([1e6, *[counts[w] for w in known]])
        with torch.no_grad():
            self.vectors.weight[0] = 0
            self.turn.weight.mul_(0.3)
            self.weights.weight[:, 0] = -0.5 * often.log()

    def ids(self, texts: list[str]) -> Tensor:
        """(N, LENGTH) int64 rows of the words of texts."""
        out = torch.zeros(len(texts), LENGTH, dtype=torch.long)
        for row, text in zip(out, texts, strict=True):
            found = [self.index[w] for w in words_of(text) if w in self.index][:LENGTH]
            row[: len(found)] = torch.tensor(found, dtype=torch.long)
        return out

    def forward(self, ids: Tensor) -> Tensor:
        """(B, L) rows to (B, width) means, as `TextTrunk` computes them."""
        ids = ids[:, : int((ids > 0).sum(1).max())]
        own = ids * (ids < self.own)
        weights = torch.where(own > 0, self.weights(own)[..., 0], -1.0)
        share = weights.masked_fill(ids == 0, -1e9).softmax(1)
        vectors = F.embedding_bag(
            own, self.vectors.weight, per_sample_weights=share * (own > 0), mode="sum"
        )
        given = F.embedding_bag(ids, self.given, per_sample_weights=share, mode="sum")
        return vectors + self.turn(given)

    def kin(self, left: list[list[str]], right: list[str], least: float) -> Tensor:
        """(len(left), len(right)) bool: whether any word of a list of texts on the left is as near
        to a word of a text on the right as the cosine `least`."""
        unit = F.normalize(self.given - self.given[1:].mean(0), dim=1)

        def vectors(text: str) -> Tensor:
            ids = self.ids([text])[0]
            return unit[ids[ids > 0]]

        first = [torch.cat([vectors(t) for t in texts]) for texts in left]
        owner = torch.cat([torch.full((len(v),), i) for i, v in enumerate(first)])
        rows = torch.cat(first)
        out = torch.zeros(len(left), len(right), dtype=torch.bool)
        for column, text in zip(out.T, right, strict=True):
            cosines = vectors(text) @ rows.T
            if len(cosines):
                column[owner[cosines.amax(0) > least]] = True
        return out

    @torch.no_grad()
    def trunk(self, hidden: int) -> tuple[TextTrunk, dict[str, int]]:
        """The same with one vector and weight a row, and the row of each word; `rare` words have
        spaCy's vectors, and rows that no word has are left out, but for row 0."""
        index = self.index | self.rare
        used = torch.tensor(sorted({0, *index.values()}))
        own = used * (used < self.own)
        trunk = TextTrunk(len(used), self.turn.out_features, hidden)
        vectors = self.vectors(own) * (own > 0)[:, None] + self.turn(self.given[used])
        trunk.vectors.weight.copy_(vectors)
        trunk.weights.weight.copy_(torch.where(own[:, None] > 0, self.weights(own), -1.0))
        rows = torch.searchsorted(used, torch.tensor(list(index.values())))
        return trunk, dict(zip(index, rows.tolist(), strict=True))

    def stand_ins(
        self, names: list[str], pairs: list[tuple[str, str]], embed: Callable[[list[str]], Tensor]
    ) -> dict[str, str]:
        """As `StandIns.find`: only words whose own vectors are saved count as such."""
        own = {w for w, row in self.index.items() if row < self.own} - self.rare.keys()
        return StandIns(self.index, own, names, pairs).find(embed)


def word_table(rows: dict[str, int], stand_ins: dict[str, str]) -> dict[str, Tensor]:
    """The arrays of `WordTable` from each word's row, or its stand-in's."""
    # Words of one key: the last one's row counts, as the dictionary orders them.
    rows = {w: rows[stand_ins.get(w, w)] for w in [*(stand_ins.keys() - rows.keys()), *rows]}
    keys = {word_key(w): row for w, row in rows.items()}
    order = sorted(keys)
    return {
        "keys": torch.tensor(order).to(torch.uint32),
        "rows": torch.tensor([keys[k] for k in order]).to(torch.uint16),
    }


class Heads(nn.Module):
    """Both sides of a space on cached features and word rows.

    Args:
        sample: (N, 1280) features that give the mean and deviation.
    """

    def __init__(self, space: Space, words: Words, sample: Tensor):
        super().__init__()
        self.words, self.standardise = words, Standardise(sample)
        self.image = nn.Linear(sample.shape[1], space.width)
        self.hidden = nn.Linear(space.words, space.hidden)
        self.text = nn.Linear(space.hidden + space.words, space.width)
        self.dropout = space.dropout
        self.classifier: nn.Linear | None = None
        self.columns: Tensor | None = None

    def know(self, classifier: nn.Linear, columns: Tensor) -> None:
        """From now on the trunk's classes count too: (D, 1000) columns of `class_columns`."""
        self.classifier, self.columns = classifier, columns

    def images(self, x: Tensor) -> Tensor:
        """(B, 1280) features to (B, D) unit vectors."""
        rows = self.image(F.dropout(self.standardise(x), self.dropout, self.training))
        if self.classifier is not None:
            rows = rows + sureness(self.classifier, x.float()) @ self.columns.T
        return F.normalize(rows, dim=-1)

    def image_head(self) -> nn.Linear:
        """The head on what `ImageTrunk` gives."""
        head = self.standardise.fold_into(self.image)
        weight = torch.cat([head.weight, self.columns], dim=1)
        out = nn.Linear(*weight.T.shape)
        out.weight.data, out.bias.data = weight.detach(), head.bias.detach()
        return out

    def texts(self, ids: Tensor) -> Tensor:
        """(B, L) word rows to (B, D) unit vectors."""
        return F.normalize(self.text(with_hidden(self.hidden, self.words(ids))), dim=-1)

    def text_trunk(self) -> tuple[TextTrunk, dict[str, int]]:
        """The trunk of `texts`, and the row of each word."""
        trunk, rows = self.words.trunk(self.hidden.out_features)
        trunk.hidden = self.hidden
        return trunk, rows


def image_vectors(trunk: ImageTrunk, heads: Heads, images: Tensor) -> Tensor:
    """(B, 3, 224, 224) RGB in [0, 1], on the trunk's device, to (B, D) unit vectors on the CPU."""
    with mixed_precision(images.device):
        features = trunk.features(scale(images))
    return heads.images(features.float().cpu())


def fingerprint(heads: Heads) -> str:
    """Of all weights: a key of what is computed with them."""
    return state_digest({**heads.state_dict(), "columns": heads.columns})[:16]
