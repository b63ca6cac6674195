"""Step 4: the small Detic, on composed scenes, its classifier in the second space (small-clip).

python detic.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from data import RUNS, Pictures, concepts, grounds
from detic_losses import class_loss, detic_loss, imitation_loss, naming_loss, near_boxes
from features import SIZE as INPUT
from features import TRUNK
from heads import fingerprint, image_vectors
from image_text import SPACES, Training, train
from mosaics import Mosaics
from safetensors.torch import load_file
from scenes import SIZE, Scene, compose
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from trunks import image_trunk
from workers import Batches

from bindplug.device import mixed_precision
from bindplug.models.small.image import CLASSES
from bindplug.training import Run, cached, fit, step_generator
from bindplug_detic import Detic, DeticConfig
from bindplug_detic.images import MEAN, STD

CONFIG = DeticConfig(
    backbone=TRUNK,
    depths=(1, 2, 2, 3, 3, 4, 1),
    widths=(40, 112, 320),
    fpn_width=96,
    fc_width=256,
    embed_dim=SPACES["small-clip"].width,
    mask_width=32,
    mask_convs=2,
    region_width=1280,
    region_classes=CLASSES,
)
CLASS_STEPS, CLASS_BATCH = 1000, 8  # on mosaics
STEPS, LR = 2600, 8e-4  # on scenes
LAST_STEPS, LAST_LR = 400, 3e-4  # with objects that fill the view, and more of photographs
BATCH, REMINDER, NATURAL = 6, 4, 3  # scenes a step, mosaics, and photographs (6 in the last steps)
REGION_SCALE = 12  # length of the region map's vectors; the box head's grow to as much
CROPS, REGIONS = 1000, 8  # squares of photographs, and regions of each, whose embeddings are learnt


def normalise(image: Tensor) -> Tensor:
    """RGB in [0, 1] to what Detic takes."""
    mean, std = (torch.tensor(v, device=image.device)[:, None, None] for v in (MEAN, STD))
    return (image * 255 - mean) / std


@torch.no_grad()
def region_head(space: Training) -> nn.Linear:
    """The space's image head, its vectors about REGION_SCALE long."""
    plain = space.heads.standardise.fold_into(space.heads.image)
    factor = REGION_SCALE / plain(space.views["pictures"][0].float()).norm(dim=1).mean()
    head = space.heads.image_head()
    head.weight *= factor
    head.bias *= factor
    return head


@torch.no_grad()
def start(model: Detic, head: nn.Linear) -> None:
    """Pretrained parts and Detic's own starting values for the convolutions that decide at once.

    The backbone is made to take Detic's pixels; the region map is the trunk's last layer, the
    region head its classifier and the image `head` of the classifier's space. All stay as they are.
    """
    pretrained = image_trunk(TRUNK)
    trunk, base = pretrained.net, model.backbone.bottom_up.base
    base.load_state_dict({k: v for k, v in trunk.state_dict().items() if k in base.state_dict()})
    # The trunk takes x / 127.5 - 1, Detic's pixels are (x - mean) / std.
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    weight = base.conv_stem.weight
    base.bn1.running_mean -= (weight * (mean / 127.5 - 1)).sum(dim=(1, 2, 3))
    weight.mul_(std / 127.5)
    region = model.roi_heads.region
    hidden = fuse_conv_bn_eval(trunk.conv_head.eval(), trunk.bn2.eval())
    model.backbone.region.load_state_dict(hidden.state_dict())
    region.classifier.load_state_dict(pretrained.classifier.state_dict())
    region.embed.load_state_dict(head.state_dict())
    for part in (base, model.backbone.region, region):
        part.requires_grad_(False)
    centernet = model.proposal_generator.centernet_head
    for conv in (*centernet.bbox_tower[::3], centernet.bbox_pred, centernet.agn_hm):
        nn.init.normal_(conv.weight, std=0.01)
        nn.init.zeros_(conv.bias)
    nn.init.constant_(centernet.bbox_pred.bias, 4.0)
    nn.init.constant_(centernet.agn_hm.bias, -4.595)  # -ln 99
    for predictor in model.roi_heads.box_predictor:
        nn.init.normal_(predictor.bbox_pred[2].weight, std=0.001)
        nn.init.zeros_(predictor.bbox_pred[2].bias)


def freeze_norms(model: Detic) -> None:
    """Batch norms keep ImageNet's statistics, as Detic's do."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


@torch.inference_mode()
def natural_regions(
    space: Training, photos: list[Tensor], device: torch.device
) -> dict[str, Tensor]:
    """Squares of photographs, (N, 3, SIZE, SIZE) uint8, the boxes (N, 8, 4) of random regions, xyxy
    pixels, and the regions' unit embeddings (N, 8, D) in the classifier's space."""
    from augment import Draw, photographs

    trunk = image_trunk(TRUNK).to(device)
    images, boxes, vectors = [], [], []
    for i in range(0, CROPS, 10):
        g = step_generator(11, i)
        squares = photographs(photos, Draw(10, g), SIZE)
        sides = 60 + (SIZE - 60) * torch.rand(10, REGIONS, 1, generator=g) ** 1.5
        stretch = torch.exp(torch.rand(10, REGIONS, 1, generator=g) - 0.5)
        extent = torch.cat([sides * stretch, sides / stretch], -1).clamp(max=SIZE)
        corner = (SIZE - extent) * torch.rand(10, REGIONS, 2, generator=g)
        found = torch.cat([corner, corner + extent], -1).round()
        found[:, 0] = torch.tensor([0.0, 0.0, SIZE, SIZE])
        for image, regions in zip(squares.to(device), found.int().tolist(), strict=True):
            crops = [
                F.interpolate(image[None, :, y0:y1, x0:x1], size=(INPUT, INPUT), mode="bilinear")
                for x0, y0, x1, y1 in regions
            ]
            vectors.append(image_vectors(trunk, space.heads, torch.cat(crops)))
        images.append((squares * 255).byte())
        boxes.append(found)
    return {
        "images": torch.cat(images),
        "boxes": torch.cat(boxes),
        "vectors": torch.stack(vectors),
    }


def photographs_of_things(pictures: Pictures) -> list[Tensor]:
    """The photographs among the training pictures, (3, 128, 128) uint8 RGB on grey."""
    rows = [r for r in pictures.rows if r["split"] == "train"]
    chosen = [i for i, r in enumerate(rows) if r["style"] == "gcompris-photo"]
    rgba = pictures.rgba[chosen].float()
    return list((rgba[:, :3] + 0.5 * (255 - rgba[:, 3:])).byte())


@torch.inference_mode()
def picture_vectors(space: Training) -> Tensor:
    """(N, D) unit embeddings of all training pictures, the vocabulary's after the concepts', each
    the mean over its views."""
    rows = []
    for name, pictures in (("pictures", space.pictures), ("vocab", space.vocab)):
        kept = torch.tensor([r["split"] == "train" for r in pictures.rows])
        rows.append(F.normalize(space.heads.images(space.views[name][:, kept]).mean(0), dim=-1))
    return torch.cat(rows).clone()


class Material:
    """What is drawn, on the CPU: mosaics, scenes, and numbers of photographs."""

    def __init__(self, photos: list[Tensor], crops: int):
        self.pictures = Pictures("pictures.csv", "train", 128, concepts())
        self.vocab = Pictures("vocab.csv", "train", 64)
        self.names, self.photos, self.crops = len(self.pictures.names), photos, crops
        small = Pictures("pictures.csv", "train", 64, concepts())
        self.mosaics = Mosaics(small, self.pictures, self.vocab, photos)
        others = self.names + torch.arange(len(self.vocab.names))
        self.sources = [(self.pictures, torch.arange(self.names)), (self.vocab, others)]

    def mosaic(self, g: torch.Generator, count: int, hard_share: float, natural: int) -> tuple:
        drawn = self.mosaics.draw(g, count, hard_share)
        return *drawn, torch.randint(self.crops, (natural,), generator=g)

    def scenes(self, g: torch.Generator, strength: float, large: float, natural: int) -> tuple:
        scenes = compose(self.sources, g, BATCH, strength, most=6, grounds=self.photos, large=large)
        return scenes, self.mosaic(g, REMINDER, 0.75, natural)


class Losses:
    """Of drawn batches, on a device.

    Args:
        vectors: (C, D) unit text embeddings of all names; `shown` (N, D) of all pictures.
        natural: what `natural_regions` made.
    """

    def __init__(self, model: Detic, vectors: Tensor, shown: Tensor, natural: dict, device):
        self.model, self.device, self.natural = model, device, natural
        self.concepts = torch.arange(len(concepts()))
        self.vectors, self.shown = vectors.to(device), shown.to(device)

    def _images(self, images: Tensor) -> Tensor:
        return normalise(images.to(self.device)).to(memory_format=torch.channels_last)

    def mosaic(self, drawn: tuple, g: torch.Generator) -> Tensor:
        """Classes of a mosaic's pictures, and the embeddings of photographs' regions."""
        images, boxes, labels, numbers, chosen = drawn
        boxes = [b.to(self.device) for b in boxes]
        shown = self.shown[numbers.to(self.device)]
        labels = labels.to(self.device)
        loss = class_loss(self.model, self._images(images), boxes, labels, self.vectors.T, shown, g)
        images = self._images(self.natural["images"][chosen].float() / 255)
        boxes = list(self.natural["boxes"][chosen].to(self.device))
        targets = self.natural["vectors"][chosen].flatten(0, 1).to(self.device)
        near = near_boxes(self.model, images, boxes, g)
        imitated = [
            imitation_loss(rows, targets) + naming_loss(rows, targets, self.vectors.T)
            for rows in near
        ]
        return loss + sum(imitated) / 3

    def scenes(self, drawn: tuple, g: torch.Generator) -> Tensor:
        scenes, reminder = drawn
        used = torch.cat([self.concepts, *[s.labels for s in scenes]]).unique()
        place = torch.full((len(self.vectors),), -1)
        place[used] = torch.arange(len(used))
        images = self._images(torch.stack([s.image for s in scenes]))
        scenes = [
            Scene(s.image, *(x.to(self.device) for x in (s.boxes, place[s.labels], s.masks)))
            for s in scenes
        ]
        columns = self.vectors[used.to(self.device)].T
        return detic_loss(self.model, images, scenes, columns, g) + self.mosaic(reminder, g)


def train_stage(model: Detic, draw, loss, run: Run, label: str) -> None:
    """Train on what `draw(step, generator)` gives, whose losses `loss(drawn, generator)` takes."""
    batches = Batches(draw, run.seed + 50, run.steps)
    device = next(model.parameters()).device

    def of_step(step: int, g: torch.Generator) -> Tensor:
        freeze_norms(model)  # `fit` puts everything into training mode
        with mixed_precision(device):
            return loss(batches(step), g)

    fit(model, of_step, run, label)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--class-steps", type=int, default=CLASS_STEPS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--last-steps", type=int, default=LAST_STEPS)
    parser.add_argument("--start", type=Path, help="weights to go on from, in place of the mosaics")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    device, seed = torch.device(args.device), args.seed
    folder = RUNS / f"detic-{seed}"
    space = train("small-clip", seed)
    vectors = torch.cat(space.name_vectors()).clone()
    photos = grounds()
    things = photographs_of_things(Pictures("pictures.csv", "train", 128, concepts()))
    natural = cached(
        folder / "regions.safetensors",
        f"{fingerprint(space.heads)} {SIZE} {CROPS} {REGIONS}",
        lambda: natural_regions(space, photos + things, device),
    )
    torch.manual_seed(seed + 200)
    material = Material(photos, len(natural["images"]))
    model = Detic(CONFIG)
    start(model, region_head(space))
    model.to(device=device, memory_format=torch.channels_last)
    losses = Losses(model, vectors, picture_vectors(space), natural, device)

    def run(name: str, steps: int, lr: float, decay: float = 0.02) -> Run:
        return Run(folder / name, steps, lr, muon_lr=None, weight_decay=decay, seed=seed)

    if args.start:
        model.load_state_dict(load_file(args.start))
    else:
        train_stage(
            model,
            lambda step, g: material.mosaic(
                g, CLASS_BATCH, min(0.75, step / args.class_steps), NATURAL
            ),
            losses.mosaic, run("classes", args.class_steps, 8e-4, 0.1), "detic, classes",
        )  # fmt: skip
    train_stage(
        model,
        lambda step, g: material.scenes(g, min(0.8, 0.3 + step / args.steps), 0.0, NATURAL),
        losses.scenes, run("scenes", args.steps, LR), "detic, scenes",
    )  # fmt: skip
    train_stage(
        model, lambda step, g: material.scenes(g, 0.6, 0.4, 2 * NATURAL),
        losses.scenes, run("last", args.last_steps, LAST_LR), "detic, last",
    )  # fmt: skip
    torch.save(model.cpu().state_dict(), folder / "detic.pt")


if __name__ == "__main__":
    main()
