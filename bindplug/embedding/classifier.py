"""Classes from names (zero-shot) or from a few examples (a linear probe)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np

from ..errors import BindplugError, MissingDependency, SpaceMismatch
from ..storage.text import read_text
from .vectors import Embedding, unit


@cache
def clip_templates() -> tuple[str, ...]:
    """CLIP's 80 ImageNet prompts with "{}" for the name, as open_clip ships them.

    ImageBind names everything by them, sounds and depth too (paper, section B.3).
    """
    spec = find_spec("open_clip")  # importing the package itself would take seconds
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependency("open_clip is not installed; run: pip install open_clip_torch")
    path = Path(spec.submodule_search_locations[0], "zero_shot_metadata.py")
    file_spec = spec_from_file_location("bindplug_clip_templates", path)
    module = module_from_spec(file_spec)
    file_spec.loader.exec_module(module)
    return tuple(template("{}") for template in module.OPENAI_IMAGENET_TEMPLATES)


def read_labels(text: str) -> dict[str, list[str]]:
    """Class names and what each is called, from "dog,cat" or a file of lines.

    A line is a name, or "name: one | another" with several names of which the nearest counts (as
    the paper takes "other" of NYU-D, or "person" of LLVIP).

    Raises:
        BindplugError: there is none, or one twice.
    """
    path = Path(text)
    try:
        is_file = path.is_file()
    except OSError:  # too long for a path
        is_file = False
    lines = read_text(path).splitlines() if is_file else text.split(",")
    out: dict[str, list[str]] = {}
    for line in (line.strip() for line in lines):
        if not line:
            continue
        name, _, others = line.partition(":")
        if name.strip() in out:
            raise BindplugError(f"the label {name.strip()!r} is given twice")
        names = [n.strip() for n in others.split("|") if n.strip()]
        out[name.strip()] = names or [name.strip().replace("_", " ")]
    if not out:
        raise BindplugError("no labels; give them as dog,cat or as a file with one a line")
    return out


class ZeroShot:
    """Classes by their names: cosine to text embeddings averaged over templates.

    The unit vectors of the templates are averaged and made unit again, as CLIP does; ImageBind's
    authors do not say.

    Args:
        embedder: speaks text.
        labels: classes and the names of each, as `read_labels` gives; the nearest name counts.
        templates: with "{}" for the name; None takes the embedder's own, or `clip_templates`.
    """

    def __init__(
        self,
        embedder,
        labels: dict[str, Sequence[str]] | Sequence[str],
        templates: Sequence[str] | None = None,
    ):
        if "text" not in embedder.modalities:
            raise BindplugError(f"{embedder.space!r} does not embed text; use examples instead")
        if not isinstance(labels, dict):
            labels = {name: [name] for name in labels}
        if templates is None:
            templates = getattr(embedder, "templates", None) or clip_templates()
        if not all("{}" in template for template in templates):
            raise BindplugError('a template holds "{}" for the name, as "a {}"')
        self.embedder, self.labels = embedder, tuple(labels)
        names = [(i, n) for i, of in enumerate(labels.values()) for n in of]
        texts = [t.replace("{}", n) for _, n in names for t in templates]
        vectors = embedder.embed(text=texts).vectors
        self.vectors = unit(vectors.reshape(len(names), len(templates), -1).mean(axis=1))
        self.label_of = np.array([i for i, _ in names])

    def scores(self, embedding: Embedding) -> np.ndarray:
        """(N, classes) cosines.

        Raises:
            SpaceMismatch: an embedding of another space.
        """
        _check_space(embedding, self.embedder.space)
        cosines = embedding.vectors @ self.vectors.T
        return np.stack(
            [cosines[:, self.label_of == i].max(axis=1) for i in range(len(self.labels))], axis=1
        )

    def probabilities(self, embedding: Embedding) -> np.ndarray:
        """(N, classes), softmax at the network's own scale: text's times that of the other sense.

        That is the product of scaled outputs, as the reference's own example computes it.
        """
        scale = self.embedder.logit_scale("text")
        if embedding.modality in self.embedder.modalities:
            scale *= self.embedder.logit_scale(embedding.modality)
        return softmax(scale * self.scores(embedding))


class LinearProbe:
    """Multinomial logistic regression on embeddings, as the paper's few-shot classifiers (4.2).

    The minimum is unique and found by L-BFGS, so there is no learning rate to choose.

    Args:
        examples: (N, D) of any sense of one space.
        labels: of each row; at least two different.
        decay: of the squared weights, for each example.
    """

    def __init__(self, examples: Embedding, labels: Sequence[str], decay: float = 1e-3):
        import torch

        self.space, self.labels = examples.space, tuple(sorted(set(labels)))
        if len(self.labels) < 2:
            raise BindplugError("a classifier needs examples of at least two classes")
        x = torch.from_numpy(examples.vectors).double()
        self.mean = x.mean(dim=0)
        self.scale = (x - self.mean).square().sum(1).mean().sqrt().clamp(min=1e-12)
        x = (x - self.mean) / self.scale
        y = torch.tensor([self.labels.index(name) for name in labels])
        weight = torch.zeros(x.shape[1], len(self.labels), dtype=torch.double, requires_grad=True)
        bias = torch.zeros(len(self.labels), dtype=torch.double, requires_grad=True)
        search = torch.optim.LBFGS([weight, bias], max_iter=500, line_search_fn="strong_wolfe")

        def loss():
            search.zero_grad()
            value = torch.nn.functional.cross_entropy(x @ weight + bias, y)
            value = value + decay * weight.square().sum()
            value.backward()
            return value

        search.step(loss)
        self.weight, self.bias = weight.detach().numpy(), bias.detach().numpy()

    def scores(self, embedding: Embedding) -> np.ndarray:
        """(N, classes) log-odds.

        Raises:
            SpaceMismatch: an embedding of another space.
        """
        _check_space(embedding, self.space)
        x = (embedding.vectors - self.mean.numpy()) / float(self.scale)
        return x @ self.weight + self.bias

    def probabilities(self, embedding: Embedding) -> np.ndarray:
        """(N, classes), rows sum to 1."""
        return softmax(self.scores(embedding))


def softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _check_space(embedding: Embedding, space: str) -> None:
    if embedding.space != space:
        raise SpaceMismatch(f"the classifier is of {space!r}, the embedding of {embedding.space!r}")
