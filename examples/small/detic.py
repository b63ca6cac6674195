"""Step 4: the small Detic, on composed scenes, its classifier in the second space (small-clip).

python detic.py
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F
from data import RUNS, Pictures, concepts, grounds
from detic_losses import class_loss, detic_loss, imitation_loss, near_boxes
from features import SIZE as INPUT
from features import TRUNK
from image_text import SPACES, Training, train
from mosaics import Mosaics
from scenes import SIZE, Scene, compose
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from trunks import image_trunk

from bindplug.models.small.image import scale
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
)
CLASS_STEPS, CLASS_BATCH = 800, 8  # mosaics a step
COSINES = ((1300, 8e-4), (600, 5e-4))  # on scenes: steps, peak learning rate
LAST_STEPS, LAST_LR = 300, 3e-4  # with objects that fill the view, and more of photographs
REGION_SCALE = 12  # of the region map for these: by then the box head's vectors have outgrown it
BATCH, REMINDER, NATURAL = 6, 4, 2  # scenes a step, mosaics, and photographs (4 in the last steps)
CROPS, REGIONS = 1000, 8  # squares of photographs, and regions of each, whose embeddings are learnt


def normalise(image: Tensor) -> Tensor:
    """RGB in [0, 1] to what Detic takes."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    return (image * 255 - mean) / std


@torch.no_grad()
def region_head(space: Training) -> nn.Linear:
    """The space's image head on the trunk's features, its vectors about as long as 1."""
    head = space.heads.standardise.fold_into(space.heads.image)
    length = head(space.views["pictures"][0].float()).norm(dim=1).mean()
    head.weight /= length
    head.bias /= length
    return head


@torch.no_grad()
def start(model: Detic, head: nn.Linear) -> None:
    """Pretrained parts and Detic's own starting values for the convolutions that decide at once.

    The backbone is made to take Detic's pixels; the region map is the trunk's last layer and the
    image `head` of the classifier's space. Both stay as they are.
    """
    base, trunk = model.backbone.bottom_up.base, image_trunk(TRUNK)[0].net
    base.load_state_dict({k: v for k, v in trunk.state_dict().items() if k in base.state_dict()})
    # The trunk takes x / 127.5 - 1, Detic's pixels are (x - mean) / std.
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    weight = base.conv_stem.weight
    base.bn1.running_mean -= (weight * (mean / 127.5 - 1)).sum(dim=(1, 2, 3))
    weight.mul_(std / 127.5)
    region = model.backbone.region
    hidden = fuse_conv_bn_eval(trunk.conv_head.eval(), trunk.bn2.eval())
    region.hidden.load_state_dict(hidden.state_dict())
    region.embed.weight.copy_(head.weight[:, :, None, None])
    region.embed.bias.copy_(head.bias)
    for part in (base, region):
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
def natural_regions(space: Training, photos: list[Tensor]) -> dict[str, Tensor]:
    """Squares of photographs, (N, 3, SIZE, SIZE) uint8, the boxes (N, 8, 4) of random regions, xyxy
    pixels, and the regions' unit embeddings (N, 8, D) in the classifier's space."""
    from augment import Draw, photographs

    trunk = image_trunk(TRUNK)[0]
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
        for image, regions in zip(squares, found.int().tolist(), strict=True):
            crops = [
                F.interpolate(image[None, :, y0:y1, x0:x1], size=(INPUT, INPUT), mode="bilinear")
                for x0, y0, x1, y1 in regions
            ]
            with torch.autocast("cpu", torch.bfloat16):
                features = trunk(scale(torch.cat(crops)))
            vectors.append(space.heads.images(features))
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--class-steps", type=int, default=CLASS_STEPS)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    device = torch.device(args.device)
    folder = RUNS / f"detic-{args.seed}"
    space = train("small-clip", args.seed)
    vectors = torch.cat(space.name_vectors()).clone().to(device)
    shown = picture_vectors(space).to(device)
    photos = grounds()
    natural = cached(
        folder / "regions.safetensors",
        f"small-clip-{args.seed} {SIZE} {CROPS} {REGIONS}",
        lambda: natural_regions(space, photos),
    )
    torch.manual_seed(args.seed + 200)
    pictures = Pictures("pictures.csv", "train", 128, concepts())
    vocab = Pictures("vocab.csv", "train", 64)
    names = pictures.names + vocab.names
    model = Detic(CONFIG)
    start(model, region_head(space))
    model.to(device=device, memory_format=torch.channels_last)
    small = Pictures("pictures.csv", "train", 64, concepts())
    mosaics = Mosaics(small, pictures, vocab, photos)

    def on_device(images: Tensor) -> Tensor:
        return normalise(images).to(device, memory_format=torch.channels_last)

    def loss_on_mosaics(g: torch.Generator, count: int, hard_share: float) -> Tensor:
        x, boxes, labels, numbers = mosaics.draw(g, count, hard_share)
        boxes = [b.to(device) for b in boxes]
        return class_loss(
            model, on_device(x), boxes, labels.to(device), vectors.T, shown[numbers], g
        )

    def loss_on_photographs(g: torch.Generator, count: int = NATURAL) -> Tensor:
        chosen = torch.randint(len(natural["images"]), (count,), generator=g)
        x = on_device(natural["images"][chosen].float() / 255)
        boxes = [b.to(device) for b in natural["boxes"][chosen]]
        targets = natural["vectors"][chosen].flatten(0, 1).to(device)
        near = near_boxes(model, x, boxes, g)
        return sum(imitation_loss(rows, targets) for rows in near) / 3

    def loss_of_classes(step: int, g: torch.Generator) -> Tensor:
        freeze_norms(model)  # `fit` puts everything into training mode
        with torch.autocast(device.type, torch.bfloat16):
            loss = loss_on_mosaics(g, CLASS_BATCH, min(0.75, step / args.class_steps))
            return loss + loss_on_photographs(g)

    run = Run(folder / "classes", args.class_steps, lr=8e-4, muon_lr=None, seed=args.seed)
    fit(model, loss_of_classes, run, "detic, classes")
    sources = [(pictures, torch.arange(66)), (vocab, torch.arange(66, len(names)))]

    def loss_on_scenes(g: torch.Generator, strength: float, last: bool = False) -> Tensor:
        freeze_norms(model)
        large = 0.4 if last else 0.0
        scenes = compose(sources, g, BATCH, strength, most=6, grounds=photos, large=large)
        used = torch.cat([torch.arange(66), *[s.labels for s in scenes]]).unique()
        place = torch.full((len(names),), -1)
        place[used] = torch.arange(len(used))
        x = on_device(torch.stack([s.image for s in scenes]))
        scenes = [
            Scene(s.image, s.boxes.to(device), place[s.labels].to(device), s.masks.to(device))
            for s in scenes
        ]  # fmt: skip
        with torch.autocast(device.type, torch.bfloat16):
            loss = detic_loss(model, x, scenes, vectors[used].T, g)
            natural_loss = (
                2 * loss_on_photographs(g, 2 * NATURAL) if last else loss_on_photographs(g)
            )
            return loss + loss_on_mosaics(g, REMINDER, 0.75) + natural_loss

    for i, (steps, lr) in enumerate(COSINES):

        def loss_of_scenes(step: int, g: torch.Generator, at_once=i > 0, steps=steps) -> Tensor:
            return loss_on_scenes(g, 0.7 if at_once else min(0.8, 0.3 + step / steps))

        run = Run(
            folder / f"scenes-{i}", steps, lr, muon_lr=None, weight_decay=0.02, seed=args.seed + i
        )
        fit(model, loss_of_scenes, run, f"detic, scenes {i}")
    natural = cached(
        folder / "regions-2.safetensors",
        f"small-clip-{args.seed} {SIZE} {CROPS} {REGIONS} with photographs of things",
        lambda: natural_regions(space, photos + 2 * photographs_of_things(pictures)),
    )
    with torch.no_grad():
        for parameter in model.backbone.region.embed.parameters():
            parameter.mul_(REGION_SCALE)
    run = Run(
        folder / "last", LAST_STEPS, LAST_LR, muon_lr=None, weight_decay=0.02, seed=args.seed + 9
    )
    fit(model, lambda step, g: loss_on_scenes(g, 0.6, last=True), run, "detic, last")
    torch.save(model.cpu().state_dict(), folder / "detic.pt")


if __name__ == "__main__":
    main()
