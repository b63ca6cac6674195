"""Classes from names (zero-shot) or from a few examples (a linear probe)."""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from runpy import run_path

import numpy as np

from ..errors import BindplugError, SpaceMismatch
from ..storage.text_file import read_text
from ..transforms.text import open_clip_file
from .vectors import Embedding, softmax, unit


@cache
def clip_templates() -> tuple[str, ...]:
    """CLIP's 80 ImageNet templates with "{}" for the name, as open_clip ships them.

    ImageBind classifies every modality by them, sounds and depth too (paper, section B.3).
    Raises MissingDependency: open_clip is not installed."""
    of = run_path(str(open_clip_file("zero_shot_metadata.py")))  # the package would take seconds
    return tuple(template("{}") for template in of["OPENAI_IMAGENET_TEMPLATES"])


def read_labels(text: str) -> dict[str, list[str]]:
    """Class names and the names of each, from "dog,cat" or a UTF-8 file with one class a line.

    A line is a name, or "name: one | another" with several names of which the nearest counts (as
    the paper takes "other" of NYU-D, or "person" of LLVIP).
    Raises BindplugError: a file that is no text, no label, one without a name or one twice."""
    try:
        is_file = Path(text).is_file()
    except (OSError, ValueError):  # too long for a path, or none at all
        is_file = False
    if not is_file:
        return parse_labels(text.split(","))
    lines = read_text(text).splitlines()
    try:
        return parse_labels(lines)
    except BindplugError as err:
        raise BindplugError(f"{text}: {err}") from err


def parse_labels(lines: Iterable[str]) -> dict[str, list[str]]:
    """Class names and the names of each from lines as in `read_labels`; errors as there."""
    out: dict[str, list[str]] = {}
    for line in filter(None, map(str.strip, lines)):
        label, _, others = line.partition(":")
        label = label.strip()
        if not label:
            raise BindplugError(f"the label {line!r} has no name before its colon")
        if label in out:
            raise BindplugError(f"the label {label!r} is given twice")
        names = [n.strip() for n in others.split("|") if n.strip()]
        out[label] = names or [label.replace("_", " ")]
    if not out:
        raise BindplugError("no labels; give them as dog,cat or as a file with one a line")
    return out


class ZeroShot:
    """Classes by their names: cosine to text embeddings averaged over templates.

    A name's vector is unit(mean over templates of its unit text embeddings), as in CLIP;
    ImageBind's paper does not say.

    Args:
        embedder: supports text.
        labels: classes and the names of each, as `read_labels` gives; the nearest name counts. A
            list takes each class by its own name.
        templates: with "{}" for the name; None takes the embedder's own, or `clip_templates`.

    Attributes:
        labels: the C classes.
        vectors: (names, D) unit rows; `label_of` (names,) is the class of each.

    Raises BindplugError: an embedder without text, no label, an empty name, or a template without
    "{}"; SpaceMismatch: in the methods, an embedding of another space."""

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
        templates = [templates] if isinstance(templates, str) else list(templates)
        for template in templates:
            if "{}" not in template:
                raise BindplugError(f"the template {template!r} has no {{}} for the name")
        if not labels or not templates:
            raise BindplugError(f"no {'templates' if labels else 'labels'} to classify by")
        for label, of in labels.items():
            if not of or not all(name.strip() for name in of):
                raise BindplugError(f"the label {label!r} has an empty name")
        self.embedder, self.labels = embedder, tuple(labels)
        names = [(i, n) for i, of in enumerate(labels.values()) for n in of]
        texts = [t.replace("{}", n) for _, n in names for t in templates]
        vectors = embedder.embed(text=texts).vectors
        self.vectors = unit(vectors.reshape(len(names), len(templates), -1).mean(axis=1))
        self.label_of = np.array([i for i, _ in names])

    def scores(self, embedding: Embedding) -> np.ndarray:
        """(N, C) cosines of an (N, D) embedding: of each class the nearest name's."""
        _check_space(embedding, self.embedder.space)
        cosines = embedding.vectors @ self.vectors.T
        return np.stack(
            [cosines[:, self.label_of == i].max(axis=1) for i in range(len(self.labels))], axis=1
        )

    def probabilities(self, embedding: Embedding) -> np.ndarray:
        """(N, C) float64, rows sum to 1: softmax(s_text * s_modality * cosine).

        s are the network's own logit scales: the product of scaled outputs, as the reference's
        example computes it."""
        scale = self.embedder.logit_scale("text")
        if embedding.modality in self.embedder.modalities:
            scale *= self.embedder.logit_scale(embedding.modality)
        return softmax((scale * self.scores(embedding)).astype(np.float64))


class LinearProbe:
    """Multinomial logistic regression on embeddings, as the paper's few-shot classifiers (4.2).

    Minimises mean cross-entropy(x W + b, label) + decay * ||W||^2 by L-BFGS, with x the examples
    less their mean, over their root mean square distance from it. The minimum is unique.

    Args:
        examples: (N, D) embeddings of one space, of any modality.
        labels: N class names, at least two different.
        decay: weight of the squared Frobenius norm of W.

    Attributes:
        labels: the C classes, sorted.

    Raises BindplugError: examples of fewer than two classes, or not a label for each example;
    SpaceMismatch: in the methods, an embedding of another space."""

    def __init__(self, examples: Embedding, labels: Sequence[str], decay: float = 1e-3):
        import torch

        self.space, self.labels = examples.space, tuple(sorted(set(labels)))
        if len(self.labels) < 2:
            raise BindplugError("a classifier needs examples of at least two classes")
        if len(labels) != len(examples.vectors):
            raise BindplugError(
                f"{len(examples.vectors)} examples have {len(labels)} labels; give one for each"
            )
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
        """(N, C) logits x W + b."""
        _check_space(embedding, self.space)
        x = (embedding.vectors - self.mean.numpy()) / float(self.scale)
        return x @ self.weight + self.bias

    def probabilities(self, embedding: Embedding) -> np.ndarray:
        """(N, C) float64: softmax of `scores`; rows sum to 1."""
        return softmax(self.scores(embedding).astype(np.float64))


def classified(classifier, embedding: Embedding) -> list[dict]:
    """For each row of an embedding, as results show it: its label as `file`, and `probabilities`
    by class, highest first."""
    out = []
    for file, p in zip(embedding.labels, classifier.probabilities(embedding), strict=True):
        ranked = {classifier.labels[i]: float(p[i]) for i in (-p).argsort(kind="stable")}
        out.append({"file": file, "probabilities": ranked})
    return out


def _check_space(embedding: Embedding, space: str) -> None:
    if embedding.space != space:
        raise SpaceMismatch(f"the classifier is of {space!r}, the embedding of {embedding.space!r}")
