"""An embedding as the classifier of a Detic that lives in detectron2, inside a `with` block."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from bindplug.bridge import Bridge, Target
from bindplug.detection.query import Query, build_query
from bindplug.embedding.inputs import caption
from bindplug.embedding.vectors import Embedding
from bindplug.errors import BindplugError

from .released import RELEASED, own_vocabulary

NAME = "zs_weight"
EPSILON = 1e-6  # probabilities are turned back into logits between it and 1 - it
_patched: set[int] = set()
_lock = threading.Lock()


@contextmanager
def patched(
    model,
    embedding: Embedding,
    threshold: float | None = None,
    bridge: Bridge | str | None = None,
    competition: str = "none",
    negative: Embedding | None = None,
    vocabulary=None,
) -> Iterator[Embedding]:
    """Let a live detectron2 Detic find what an embedding means; all is as before afterwards.

    In every stage of the cascade the classifier is replaced, and the number of classes follows.
    On leaving, also by an exception, each weight is the very object and of the kind it was
    (parameter, buffer or plain tensor). Inside, `zs_weight` is a plain tensor, so a checkpoint
    saved there lacks it: save outside. One thread at a time may patch a model.

    Args:
        model: the `CustomRCNN`, also inside DataParallel; or a predictor (or demo) with `.model`
            and `.metadata`, whose `thing_classes` then are the embedding's labels in the block.
        embedding: of any space whose embedder supports text; from another one it crosses by
            `bridge`.
        threshold: lowest score; None leaves the model's own.
        bridge, negative, vocabulary: as in `PromptedDetector.detect`. The default vocabulary is
            the model's own where it is LVIS's: its rows are text vectors of the space, so no
            CLIP is loaded.
        competition: as there; the default is "none", so that the block gives bit for bit what
            Detic's own reset of its classifier to these rows gives. Native detection competes with
            words by default and shows fewer objects at one threshold.

    Yields:
        The embedding in the classifier's space. `pred_classes` are its rows; its labels are short
        names (files without folder and ending).

    Raises:
        BindplugError: no such model, no row, a classifier of another width, or a model that is
            patched already.
        SpaceMismatch: no bridge can be built.
    """
    holder, model = _model(model)
    stages = _stages(model)
    weights = getattr(stages[0].cls_score, NAME)
    query, prompt = _query(embedding, weights, bridge, competition, negative, vocabulary)
    heads = model.roi_heads
    with _marked(model):
        classes, thresholds = heads.num_classes, [s.test_score_thresh for s in stages]
        metadata = getattr(holder, "metadata", None)
        before = []
        try:
            weight = _classifier(query, stages[0].cls_score, weights)
            for stage in stages:
                before.append(_take(stage.cls_score))
                setattr(stage.cls_score, NAME, weight)
                if competition != "none" or negative is not None:
                    stage.cls_score.forward = _competing(stage.cls_score, query)
                if threshold is not None:
                    stage.test_score_thresh = threshold
            heads.num_classes = len(prompt)
            if metadata is not None:
                holder.metadata = _named(metadata, prompt.labels)
            yield prompt
        finally:
            for stage, (kind, value), score in zip(stages, before, thresholds, strict=False):
                stage.cls_score.__dict__.pop("forward", None)
                _take(stage.cls_score)
                _put(stage.cls_score, kind, value)
                stage.test_score_thresh = score
            heads.num_classes = classes
            if metadata is not None:
                holder.metadata = metadata


@contextmanager
def _marked(model: nn.Module) -> Iterator[None]:
    with _lock:
        if id(model) in _patched:
            raise BindplugError("this model is patched already; leave that `with` first")
        _patched.add(id(model))
    try:
        yield
    finally:
        _patched.discard(id(model))


def _model(given) -> tuple[object, nn.Module]:
    """What holds the metadata, and the network itself."""
    holder = given
    for name in ("predictor", "model", "module"):  # demo, predictor, DataParallel
        inner = getattr(given, name, None)
        if inner is not None and not hasattr(given, "roi_heads"):
            given = inner
    return holder, given


def _query(
    embedding, weights: Tensor, bridge, competition, negative, vocabulary
) -> tuple[Query, Embedding]:
    """The query, and the prompts in the classifier's space under short names."""
    rows = weights.detach()[:, :-1].T.float().cpu().numpy()
    target = Target(RELEASED["space"], tuple(RELEASED["templates"]), None, *own_vocabulary(rows))
    query = build_query(embedding, target, bridge, competition, negative, vocabulary)
    vectors = query.vectors[: len(embedding)]
    if vectors.shape[1] != len(weights):
        raise BindplugError(
            f"this Detic's classifier is {len(weights)}-d, {target.space!r} is {vectors.shape[1]}-d"
        )
    labels = tuple(map(caption, embedding.labels))
    return query, replace(
        embedding, vectors=vectors, space=target.space, labels=labels, parts=(), embedder=None
    )


def _stages(model: nn.Module) -> list[nn.Module]:
    """The box predictors of the cascade."""
    try:
        stages = list(model.roi_heads.box_predictor)
        if stages and all(hasattr(s.cls_score, NAME) for s in stages):
            return stages
    except (AttributeError, TypeError):
        pass
    raise BindplugError(
        f"{type(model).__name__} is no detectron2 Detic: it has no "
        f"roi_heads.box_predictor[k].cls_score.{NAME}; give the predictor or its .model"
    )


def _classifier(query: Query, cls_score: nn.Module, like: Tensor) -> Tensor:
    """(D, K + 1): unit columns, where the model normalises its own, and zeros for background."""
    columns = torch.from_numpy(query.vectors).T.to(like.device)
    weight = torch.cat([columns, columns.new_zeros(len(columns), 1)], dim=1)
    weight = nn.functional.normalize(weight, dim=0) if cls_score.norm_weight else weight
    return weight.to(like.dtype)


def _competing(cls_score: nn.Module, query: Query):
    """`forward` whose (n, K + 1) logits become those of the prompts' probabilities, (n, C + 1):
    Detic applies a sigmoid to them afterwards."""
    forward = type(cls_score).forward

    def wrapped(x, *args, **kwargs):
        logits = forward(cls_score, x, *args, **kwargs)
        p = query.suppress_negatives(query.to_probabilities(logits[:, :-1].float()))
        return torch.cat([p.logit(EPSILON).to(logits), logits[:, -1:]], dim=1)

    return wrapped


def _named(metadata, labels: tuple[str, ...]):
    """detectron2's metadata with other class names; colours belong to the old ones."""
    fields = {k: v for k, v in vars(metadata).items() if k != "thing_colors"}
    kind = type(metadata) if isinstance(metadata, SimpleNamespace) else SimpleNamespace
    return kind(**{**fields, "thing_classes": list(labels)})


def _take(module: nn.Module) -> tuple[str, Tensor | None]:
    """Remove the weight; what kind it was, and the very object."""
    value = getattr(module, NAME, None)
    if NAME in module._parameters:
        kind = "parameter"
    elif NAME in module._buffers:
        kind = "lost buffer" if NAME in module._non_persistent_buffers_set else "buffer"
    else:
        kind = "tensor"
    if value is not None:
        delattr(module, NAME)
    return kind, value


def _put(module: nn.Module, kind: str, value: Tensor) -> None:
    if kind.endswith("buffer"):
        module.register_buffer(NAME, value, persistent=kind == "buffer")
    else:
        setattr(module, NAME, value)
