"""An embedding as the classifier of a Detic that lives in detectron2, inside a `with` block."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from bindplug.bridge import Bridge, Target
from bindplug.detection.query import Query, build_query
from bindplug.embedding.inputs import caption
from bindplug.embedding.vectors import Embedding
from bindplug.errors import BindplugError

from .config import RELEASED, own_vocabulary

NAME = "zs_weight"
EPSILON = 1e-6  # probabilities are turned back into logits between it and 1 - it
_patched: dict[int, object] = {}  # by the id of the model; dict.setdefault is atomic


@contextmanager
def patched(
    model, embedding: Embedding, threshold: float | None = None,
    bridge: Bridge | str | None = None, competition: str = "none",
    negative: Embedding | None = None, vocabulary=None,
) -> Iterator[Embedding]:  # fmt: skip
    """Let a live detectron2 Detic find what an embedding means; everything is as before afterwards.

    In every stage of the cascade the classifier is replaced, and the number of classes follows.
    On leaving, also by an exception, each weight is the very object and of the kind it was
    (parameter, buffer or plain tensor). Inside, `zs_weight` is a plain tensor, so a checkpoint
    saved there lacks it: save outside. One thread at a time may patch a model.

    Args:
        model: the `CustomRCNN`, also inside DataParallel; or a predictor (or demo) with `.model`
            and `.metadata`, whose `thing_classes` are the embedding's labels inside the block.
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

    Raises BindplugError: no such model, no row, a classifier of another width, or a model that is
    patched already; SpaceMismatch: no bridge can be built."""
    holder, model = _model(model)
    stages = _stages(model)
    weights = getattr(stages[0].cls_score, NAME)
    query, prompt = _query(embedding, weights, bridge, competition, negative, vocabulary)
    weight = _classifier(query, stages[0].cls_score, weights)
    with ExitStack() as stack:

        def change(thing, name: str, value) -> None:
            stack.callback(setattr, thing, name, getattr(thing, name))
            setattr(thing, name, value)

        if _patched.setdefault(id(model), stack) is not stack:
            raise BindplugError("this model is patched already; leave that `with` block first")
        stack.callback(_patched.pop, id(model))
        for stage in stages:
            _replace(stage.cls_score, weight, stack)
            if competition != "none" or negative is not None:
                stage.cls_score.forward = _competing(stage.cls_score, query)
                stack.callback(vars(stage.cls_score).pop, "forward", None)
            lowest = stage.test_score_thresh if threshold is None else threshold
            change(stage, "test_score_thresh", lowest)
        change(model.roi_heads, "num_classes", len(prompt))
        if getattr(holder, "metadata", None) is not None:
            change(holder, "metadata", _named(holder.metadata, prompt.labels))
        yield prompt


def _model(given) -> tuple[object, nn.Module]:
    """What holds the metadata, and the network itself."""
    model = given
    for name in ("predictor", "model", "module"):  # demo, predictor, DataParallel
        if not hasattr(model, "roi_heads"):
            model = getattr(model, name, None) or model
    return given, model


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
    with suppress(AttributeError, TypeError):
        stages = list(model.roi_heads.box_predictor)
        if stages and all(hasattr(s.cls_score, NAME) for s in stages):
            return stages
    raise BindplugError(
        f"{type(model).__name__} is not a detectron2 Detic: it has no "
        f"roi_heads.box_predictor[k].cls_score.{NAME}; give the predictor or its .model"
    )


def _classifier(query: Query, cls_score: nn.Module, like: Tensor) -> Tensor:
    """(D, K + 1): unit columns, where the model normalises its own, and zeros for background."""
    weight = nn.functional.pad(torch.from_numpy(query.vectors).T, (0, 1)).to(like.device)
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


def _replace(module: nn.Module, weight: Tensor, stack: ExitStack) -> None:
    """Put a plain tensor in the place of a module's weight until a stack is left."""
    stores = (module._parameters, module._buffers, vars(module))
    store = next(s for s in stores if NAME in s)  # a buffer stays listed as (not) persistent
    own = store.pop(NAME)

    def restore() -> None:
        for s in stores:
            s.pop(NAME, None)
        store[NAME] = own

    stack.callback(restore)
    vars(module)[NAME] = weight
