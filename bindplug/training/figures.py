"""Figures on validation data while training: retrieval both ways, and naming by text."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import BindplugError
from ..evaluation.metrics import retrieval, top_k
from ..models.towers.tower import Tower
from .binder import Binder
from .data.loader import Loader
from .data.rows import Bad, Row, Source
from .feature_cache import CLIPS, Features

TEMPLATES = ("{}", "a {}", "a photo of a {}")  # where an embedder has none of its own


class Validation:
    """Figures of a binder on rows that it is not trained on.

    Args:
        sources: the rows.
        features: of the modalities whose trunks are frozen, of all clips (`make_features` with 0
            views).
        templates: wordings of a class name, "{}" for the name.

    Raises BindplugError: no row is left."""

    def __init__(
        self, binder: Binder, sources: list[Source], loader: Loader, features: dict[str, Features],
        templates: Sequence[str], bad: Bad, device: str = "cpu",
    ):  # fmt: skip
        self.binder, self.sources, self.loader, self.features = binder, sources, loader, features
        self.templates, self.bad, self.device = templates, bad, device
        self._unreadable: set = set()
        self._texts: dict[str, Tensor] = {}  # of class names
        if not any(source.rows for source in sources):
            raise BindplugError("no row of the validation data can be used")

    @torch.no_grad()
    def figures(self) -> dict[str, dict]:
        """Shares in [0, 1] with Wilson's intervals (`bindplug.evaluation.metrics.top_k`).

        "audio zero-shot top-1" and "top-5", where rows have labels and there is a text tower; then
        "audio to image R@1", "R@5", "R@10", and the same from image to audio."""
        was_training = self.binder.training
        self.binder.eval()
        named, found = {}, {}
        parameters = self.binder.towers.named_parameters()
        if any(p.requires_grad for name, p in parameters if name.startswith("text.")):
            self._texts.clear()
        modalities = dict.fromkeys(m for source in self.sources for m in source.modalities)
        rows = {m: [r for s in self.sources if m in s.modalities for r in s.rows]
                for m in modalities}  # fmt: skip
        vectors = {m: self._embed(m, rows[m]) for m in modalities}
        for modality in modalities:
            if modality != "text":
                named |= self._naming(modality, rows[modality], vectors[modality])
            if modality != "image":
                found |= self._retrieval(modality, rows[modality], vectors)
        self.binder.train(was_training)
        return dict(sorted(named.items(), key=lambda kv: kv[0].startswith("image"))) | found

    def _embed(self, modality: str, rows: Sequence[Row]) -> dict[Hashable, Tensor]:
        """(D,) unit vector of each input that can be read: the mean over its clips."""
        tower, out = self.binder.towers[modality], {}
        for row in rows:
            for value in row.inputs[modality]:
                if value not in out:
                    out[value] = self._vector(tower, row, modality, value)
        return {value: v for value, v in out.items() if v is not None}

    def _vector(self, tower: Tower, row: Row, modality: str, value) -> Tensor | None:
        if modality in self.features:
            known = self.features[modality]
            if (value, "") not in known.rows:
                return None
            rows = tower.project(known.of((value, "")).to(self.device))
        elif (modality, value) in self._unreadable:
            return None
        else:
            try:
                clips = self.loader.clips(row, modality, value)
            except BindplugError as err:
                self._unreadable.add((modality, value))
                self.bad.add(err)
                return None
            rows = torch.cat([tower(x.to(self.device)) for x in clips.split(CLIPS)])
        return F.normalize(rows.mean(0), dim=0).cpu()

    def _retrieval(self, modality: str, rows: Sequence[Row], vectors: dict) -> dict[str, dict]:
        images = dict.fromkeys(value for row in rows for value in row.inputs["image"])
        known = vectors["image"]
        sides = [vectors[modality], {value: known[value] for value in images if value in known}]
        if not all(sides):
            return {}
        index = [{value: i for i, value in enumerate(side)} for side in sides]
        truth = np.zeros([len(side) for side in sides], bool)
        for row in rows:
            here = [
                [at[v] for v in row.inputs[m] if v in at]
                for m, at in zip((modality, "image"), index, strict=True)
            ]
            truth[np.ix_(*here)] = True
        cosines = torch.stack(list(sides[0].values())) @ torch.stack(list(sides[1].values())).T
        return retrieval(modality, "image", cosines.numpy(), truth)

    def _naming(self, modality: str, rows: Sequence[Row], vectors: dict) -> dict[str, dict]:
        labels: dict[Hashable, set[str]] = {}
        for row in rows:
            for value in row.inputs[modality]:
                if value in vectors and row.labels:
                    labels.setdefault(value, set()).update(row.labels)
        classes = sorted({name for names in labels.values() for name in names})
        if "text" not in self.binder.towers or len(classes) < 2:
            return {}
        texts = self.class_vectors(classes)
        scores = torch.stack([vectors[value] for value in labels]) @ texts.T
        truth = np.array([[name in names for name in classes] for names in labels.values()])
        return {
            f"{modality} zero-shot top-{k}": top_k(scores.numpy(), truth, k)
            for k in (1, 5) if k == 1 or len(classes) > 5
        }  # fmt: skip

    def class_vectors(self, names: Sequence[str]) -> Tensor:
        """(C, D) unit vectors of class names, each the mean over the templates. A name is embedded
        once, or, where the text tower is trained, once a call of `figures`."""
        for name in names:
            if name not in self._texts:
                self._texts[name] = self._class_vector(name)
        return torch.stack([self._texts[name] for name in names])

    def _class_vector(self, name: str) -> Tensor:
        wordings = [t.replace("{}", name.replace("_", " ")) for t in self.templates]
        row = Row({"text": tuple(wordings)}, name)
        clips = torch.cat([self.loader.clips(row, "text", w) for w in wordings])
        rows = self.binder.towers["text"](clips.to(self.device))
        return F.normalize(rows.mean(0), dim=0).cpu()
