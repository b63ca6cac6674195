"""Detic (Zhou et al., ECCV 2022): inference without detectron2, from upstream checkpoints."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bindplug.detection.results import Detections
from bindplug.errors import BindplugError
from bindplug.storage.state_dict import check_state, read_state

from . import images
from .backbone import FPN, fold_norms
from .centernet import CenterNetHead, select_proposals
from .config import NMS, DeticConfig, config_from_state
from .roi_heads import PYRAMID, ROIHeads, StageOutput, clip, score_matrix, select_detections
from .swin import relative_position_index


@dataclass
class ImageFeatures:
    """What one image gives to any number of classifiers."""

    maps: list[Tensor]  # p3 ... p7, each (1, C, h, w) float32, and the region map if there is one
    proposals: Tensor  # (n, 4) xyxy in network pixels, unclipped
    scores: Tensor  # (n,) of the proposals
    stages: list[StageOutput]  # the cascade's boxes, and embeddings in the classifier's space
    network_size: tuple[int, int]  # height and width, without padding
    original_size: tuple[int, int]

    @property
    def boxes(self) -> Tensor:
        """(n, 4) xyxy after the cascade, in network pixels, clipped to the image."""
        return clip(self.stages[-1].decoded, *self.network_size)

    @property
    def ratio(self) -> Tensor:
        """(4,) of original to network pixels, for x, y, x, y."""
        (h, w), (height, width) = self.network_size, self.original_size
        return self.scores.new_tensor([width / w, height / h] * 2)


class Detic(nn.Module):
    """A Detic of the CenterNet2 family under upstream's parameter names.

    The classifier is not a parameter: `set_classifier` replaces it at will.
    """

    def __init__(self, config: DeticConfig):
        super().__init__()
        self.config = config
        self.backbone = FPN(config)
        centernet = OrderedDict(centernet_head=CenterNetHead(config.fpn_width))
        self.proposal_generator = nn.Sequential(centernet)
        self.roi_heads = ROIHeads(config)
        self.nms = NMS()
        self.register_buffer("classifier", None, persistent=False)  # (D, C) unit columns, float32

    @classmethod
    def from_checkpoint(cls, path: str | Path, config: DeticConfig | None = None) -> Detic:
        """A Detic in evaluation mode from a released `.pth` or a `.safetensors` file.

        The file holds upstream's keys, bare or under `model`. What inference does not need
        (ImageNet heads, frequency weights, batch counters) is passed over. The file's own
        vocabulary, where it has one, becomes the classifier.

        Args:
            config: sizes; None reads them off the keys.

        Raises BindplugError: not a Detic checkpoint; the first wrong key is named."""
        state = read_state(path)
        state = state.get("model", state)
        if not isinstance(state, dict):
            raise BindplugError(f"{path}: `model` is not a state dict")
        state = {k: torch.as_tensor(v) for k, v in state.items()}
        if state and all(k.startswith("module.") for k in state):
            state = {k.removeprefix("module."): v for k, v in state.items()}
        try:
            config = config or config_from_state(state)
        except BindplugError as err:
            raise BindplugError(f"{path}: {err}") from err
        with torch.device("meta"):
            model = cls(config)
        model.load_state_dict(_wanted(path, state, model.state_dict()), assign=True)
        vocabulary = state.get("roi_heads.box_predictor.0.cls_score.zs_weight")
        if vocabulary is not None:
            model.set_classifier(vocabulary[:, :-1].T)  # the last column is the background
        return model.eval().for_inference()

    def for_inference(self) -> Detic:
        """Make it fast, for good: a ResNet's frozen norms go into its convolutions, and weights lie
        channels-last. Maps change by some 3e-6 of their largest value, and a folded model no longer
        has upstream's keys."""
        if self.config.backbone == "resnet":
            fold_norms(self.backbone.bottom_up)
        return self.to(memory_format=torch.channels_last)

    def _apply(self, fn, recurse: bool = True) -> Detic:
        """Moves and casts; the classifier moves, and stays float32."""
        columns = self.classifier
        super()._apply(fn, recurse)
        if columns is not None:
            self.classifier = columns.to(self.classifier.device)
        return self

    def set_classifier(self, vectors: Tensor | np.ndarray) -> None:
        """Detect these classes from now on.

        Args:
            vectors: (C, D) rows in the model's text space; only their directions matter.

        Raises BindplugError: a wrong width, no row, or values that are not finite."""
        self.classifier = self._columns(vectors)

    def _columns(self, vectors: Tensor | np.ndarray) -> Tensor:
        """(C, D) rows to (D, C) unit columns."""
        vectors = torch.as_tensor(vectors).detach().float()
        width = self.config.embed_dim
        if vectors.ndim != 2 or vectors.shape[1] != width or not len(vectors):
            raise BindplugError(
                f"classifier of shape {tuple(vectors.shape)}; this Detic takes rows of {width}: "
                f"(C, {width}), C at least 1"
            )
        if not torch.isfinite(vectors).all():
            raise BindplugError("classifier rows hold NaN or infinite values")
        device = self.backbone.top_block.p6.weight.device
        return F.normalize(vectors, dim=1).T.contiguous().to(device)

    @torch.inference_mode()
    def features(
        self, image_bgr: np.ndarray, short_side: int = 800, long_side: int = 1333
    ) -> ImageFeatures:
        """The part of `predict` that no classifier changes, of (H, W, 3) uint8."""
        return self.batch_features([image_bgr], short_side, long_side)[0]

    @torch.inference_mode()
    def batch_features(
        self, images_bgr: list[np.ndarray], short_side: int = 800, long_side: int = 1333
    ) -> list[ImageFeatures]:
        """`features` of several images; those of one size share a pass through the backbone."""
        groups, out = {}, [None] * len(images_bgr)
        for i, image in enumerate(images_bgr):
            _check_image(image)
            size = images.network_size(*image.shape[:2], short_side, long_side)
            groups.setdefault(size, []).append(i)
        weight = self.backbone.top_block.p6.weight
        for size, members in groups.items():
            rgb = [images.resize(images_bgr[i][:, :, ::-1], *size) for i in members]
            x = torch.cat([images.to_tensor(image) for image in rgb]).to(weight)
            maps = self.backbone(x.contiguous(memory_format=torch.channels_last))
            heat, reach = self.proposal_generator(maps[:PYRAMID])
            for row, i in enumerate(members):
                own_heat, own_reach = ([x[row].float() for x in each] for each in (heat, reach))
                boxes, scores = select_proposals(own_heat, own_reach)
                own = [m[row : row + 1].float() for m in maps]
                stages = self.roi_heads.cascade(own, boxes, size)
                original = images_bgr[i].shape[:2]
                out[i] = ImageFeatures(own, boxes, scores, stages, size, original)
        return out

    @torch.inference_mode()
    def classify(
        self, features: ImageFeatures, *, score_threshold: float = 0.5,
        one_class_per_proposal: bool = True, top_k: int = 300,
    ) -> Detections:  # fmt: skip
        """Detections of the present classifier on an image's features, in original pixels.
        Raises BindplugError: no classifier, or a threshold that is no number from 0 to 1."""
        if not 0 <= score_threshold <= 1:
            raise BindplugError(f"score_threshold {score_threshold!r}; give a number from 0 to 1")
        if self.classifier is None:
            raise BindplugError("this Detic has no classifier; call set_classifier first")
        scores = score_matrix(features.stages, self.classifier, features.scores)
        return self.select(features, scores, score_threshold, one_class_per_proposal, top_k)

    @torch.inference_mode()
    def scores(
        self, features: ImageFeatures, rows: np.ndarray, read: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """(n, C) scores of an image's proposals by (K, D) rows of the model's text space; `read`
        makes (n, C) probabilities of (n, K) logits."""
        return score_matrix(features.stages, self._columns(rows), features.scores, read)

    @torch.inference_mode()
    def proposals(self, features: ImageFeatures) -> np.ndarray:
        """(n, 4) xyxy boxes of the proposals after the cascade, in original pixels."""
        return (features.boxes * features.ratio).cpu().numpy()

    @torch.inference_mode()
    def select(
        self, features: ImageFeatures, scores: Tensor, score_threshold: float,
        one_class_per_proposal: bool = True, top_k: int = 300, masks: bool = True,
    ) -> Detections:  # fmt: skip
        """Detections by the (n, C) scores of an image's proposals, in original pixels.
        Raises BindplugError: more masks on a larger image than memory should hold."""
        boxes, scores, ids = select_detections(
            features.boxes, scores, score_threshold, one_class_per_proposal, top_k, self.nms
        )
        original = clip(boxes * features.ratio, *features.original_size)
        solid = (original[:, 2:] > original[:, :2]).all(dim=1)
        inside = None
        if masks:
            inside = self.roi_heads.masks(features.maps, boxes[solid])
            inside = images.paste_masks(inside, original[solid], *features.original_size)
        found = (x[solid].cpu().numpy() for x in (original, scores, ids))
        return Detections(*found, inside, *features.original_size)

    @torch.inference_mode()
    def masks(self, features: ImageFeatures, boxes: np.ndarray) -> np.ndarray:
        """(n, H, W) bool of what is in (n, 4) xyxy boxes, in original pixels."""
        boxes = torch.from_numpy(boxes).to(features.scores)
        inside = self.roi_heads.masks(features.maps, boxes / features.ratio)
        return images.paste_masks(inside, boxes, *features.original_size)

    def predict(
        self, image_bgr_uint8: np.ndarray, *, score_threshold: float = 0.5,
        one_class_per_proposal: bool = True, top_k: int = 300, short_side: int = 800,
        long_side: int = 1333,
    ) -> Detections:  # fmt: skip
        """Detect on one image, as Detic's demo does with these defaults.

        Args:
            image_bgr_uint8: (H, W, 3).
            score_threshold: in [0, 1], on the final score.
            one_class_per_proposal: keep only each proposal's best class.
            top_k: largest number of detections.
            short_side, long_side: pixels the image is resized to and limited by.

        Raises BindplugError: a threshold that is no number from 0 to 1."""
        return self.classify(
            self.features(image_bgr_uint8, short_side, long_side), score_threshold=score_threshold,
            one_class_per_proposal=one_class_per_proposal, top_k=top_k,
        )  # fmt: skip


def _wanted(path, state: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those tensors of a checkpoint that a network's own state dict has, in float32.
    Raises BindplugError: a tensor that is absent or of another shape; the first is named."""
    chosen = {}
    for key in own:
        if key.endswith("num_batches_tracked"):
            chosen[key] = torch.zeros((), dtype=torch.long)
        elif key.endswith("relative_position_index") and key in state:
            chosen[key] = state[key]
            if not torch.equal(state[key], relative_position_index()):
                raise BindplugError(f"{path}: {key!r} is not the index of 7x7 windows")
        elif key in state:
            chosen[key] = state[key].float()
    check_state(path, chosen, own)
    return chosen


def _check_image(image) -> None:
    is_bytes = isinstance(image, np.ndarray) and image.dtype == np.uint8
    if not is_bytes or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        got = f"of shape {image.shape}" if is_bytes else f"a {type(image).__name__}"
        raise BindplugError(f"the image is {got}; give (H, W, 3) uint8 in BGR order")
