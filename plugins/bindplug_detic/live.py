"""An embedding as the classifier of a Detic that lives in detectron2, for as long as one wants."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bindplug.bridge.bridge import Bridge, cross
from bindplug.embedding.vectors import Embedding
from bindplug.errors import BindplugError

from .detector import RELEASED

NAME = "zs_weight"
_patched: set[int] = set()
_lock = threading.Lock()


@contextmanager
def patched(
    model: nn.Module,
    embedding: Embedding,
    threshold: float | None = None,
    bridge: Bridge | str | None = None,
) -> Iterator[Embedding]:
    """Let a live detectron2 Detic find what an embedding means; all is as before afterwards.

    In every stage of the cascade the classifier is replaced, the number of classes follows, and
    on leaving, also by an exception, each weight is what and of the kind it was (parameter, buffer
    or plain tensor), so `state_dict()` is complete again. `pred_classes` are rows of what this
    yields, whose `labels` are the names; the model's own metadata is not touched.

    Args:
        model: the `CustomRCNN` (of a `DefaultPredictor`: its `.model`).
        embedding: of any space that speaks text; from another one it crosses by `bridge`.
        threshold: least score; None leaves the model's own.

    Yields:
        The embedding in the classifier's space.

    Raises:
        BindplugError: no such model, a classifier of another width, or one that is patched now.
        SpaceMismatch: no bridge can be built.
    """
    stages = _stages(model)
    prompt, _ = cross(embedding, RELEASED["space"], bridge, RELEASED["templates"])
    width = getattr(stages[0].cls_score, NAME).shape[0]
    if prompt.vectors.shape[1] != width:
        raise BindplugError(
            f"this Detic's classifier is {width}-d, {prompt.space!r} is {prompt.vectors.shape[1]}-d"
        )
    with _lock:
        if id(model) in _patched:
            raise BindplugError("this model is patched already; leave that `with` first")
        _patched.add(id(model))
    heads = model.roi_heads
    classes, least = heads.num_classes, [s.test_score_thresh for s in stages]
    before = [_take(stage.cls_score) for stage in stages]
    try:
        device = before[0][1].device
        weight = _classifier(prompt, stages[0].cls_score, device).to(before[0][1].dtype)
        for stage in stages:
            setattr(stage.cls_score, NAME, weight)
            if threshold is not None:
                stage.test_score_thresh = threshold
        heads.num_classes = len(prompt)
        yield prompt
    finally:
        for stage, (kind, value), score in zip(stages, before, least, strict=True):
            _take(stage.cls_score)
            _put(stage.cls_score, kind, value)
            stage.test_score_thresh = score
        heads.num_classes = classes
        _patched.discard(id(model))


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
        f"roi_heads.box_predictor[k].cls_score.{NAME}; give the predictor's .model"
    )


def _classifier(prompt: Embedding, cls_score: nn.Module, device) -> Tensor:
    """(D, C + 1): unit columns, where the model normalises its own, and zeros for background."""
    columns = torch.from_numpy(prompt.vectors).T.to(device)
    weight = torch.cat([columns, columns.new_zeros(len(columns), 1)], dim=1)
    return nn.functional.normalize(weight, dim=0) if cls_score.norm_weight else weight


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
