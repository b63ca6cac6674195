"""Step 2: the audio tower, against the frozen image tower. No sound ever meets a text here.

python audio.py                      # the embedded ImageBind's ear
python audio.py --space tiny-clip    # an ear in the detector's own space: what a bridge could reach
"""

from __future__ import annotations

import argparse
from copy import deepcopy
from dataclasses import replace

import torch
import torch.nn.functional as F
from augment import augment
from data import ROOT, RUNS, Pictures, concepts, table
from sounds import Clips, Sounds
from torch import Tensor
from vision_text import SIZES, name_vectors, trained

from bindplug.bridge import TEMPLATES
from bindplug.imagebind import ImageBind, save_imagebind
from bindplug.training import (
    Run,
    encode_with_fewer_tokens,
    fit,
    info_nce,
    mimetic_init,
    sine_cosine,
    step_generator,
    whitening_filters,
)
from bindplug.transforms.audio import transform_audio
from bindplug.transforms.vision import normalise

STEPS, RESTART_STEPS = 2600, 1250
SOUP = 3  # last cosines, from the same point, whose weights are averaged (Wortsman et al. 2022)


def start(model: ImageBind, clips: Clips) -> None:
    """Begin the audio stem at the statistics of sample spectrograms."""
    mimetic_init(model.modality_trunks["audio"])
    c, stem = model.config.audio, model.modality_preprocessors["audio"]
    x, _ = clips.draw(step_generator(0, 0), hard=0.5)
    patches = x.unfold(2, c.patch_size, c.stride).unfold(3, c.patch_size, c.stride)
    rows, columns = patches.shape[2:4]
    filters = whitening_filters(patches.reshape(-1, c.patch_size**2), c.width)
    grid = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float()
    with torch.no_grad():
        stem.rgbt_stem.proj.weight.copy_(filters.view_as(stem.rgbt_stem.proj.weight))
        stem.pos_embedding_helper.pos_embed[0, 1:].add_(sine_cosine(grid, c.width))


@torch.inference_mode()
def picture_embeddings(model: ImageBind, pictures: Pictures, rounds: int = 4) -> Tensor:
    """(rounds, N, D) unit embeddings of augmented images, from the frozen tower."""
    out = []
    for i in range(rounds):
        image = augment(pictures.rgba, step_generator(7, i), hard_share=0.3)
        parts = [model({"vision": normalise(x)})["vision"] for x in image.split(256)]
        out.append(torch.cat(parts))
    return torch.stack(out)


@torch.inference_mode()
def evaluate(model: ImageBind, split: str = "val") -> dict[str, float]:
    """Emergent naming of sounds: each against the mean text embedding of 66 concepts."""
    names = concepts()
    text = name_vectors(model, names)
    rows = [r for r in table("sounds.csv") if r["split"] == split]
    x = torch.stack([transform_audio(ROOT / r["file"], model.config.audio) for r in rows])
    audio = torch.cat([model({"audio": part})["audio"] for part in x.split(16)])
    label = torch.tensor([names.index(r["concept"]) for r in rows])
    hit = (audio @ text.T).topk(5, dim=-1).indices == label[:, None]
    heard: dict[str, set] = {}
    for r in table("sounds.csv"):
        if r["split"] == "train":
            heard.setdefault(r["concept"], set()).add(r["group"])
    per = {n: hit[label == i, 0].float().mean().item() for i, n in enumerate(names) if i in label}
    few = [v for n, v in per.items() if len(heard.get(n, ())) <= 2]
    return {
        "top1": hit[:, 0].float().mean().item(),
        "top5": hit.any(-1).float().mean().item(),
        "per_concept_top1": sum(per.values()) / len(per),
        "few_recordings_top1": sum(few) / len(few),
        "few_concepts": len(few),
        "sounds": len(rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", choices=SIZES, default="tiny")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--restart-steps", type=int, default=RESTART_STEPS)
    parser.add_argument("--soup", type=int, default=SOUP, help="last cosines; 0 stops before them")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    device = torch.device(args.device)
    torch.manual_seed(args.seed + 100)
    config = replace(SIZES[args.space], audio=SIZES["tiny"].audio)
    pictures = Pictures("pictures.csv", "train", 64, concepts())
    frozen = trained(args.space, args.seed)
    images = picture_embeddings(frozen, pictures).to(device)
    means = F.normalize(
        torch.stack([images[:, of].flatten(0, 1).mean(0) for of in pictures.of]), dim=-1
    )
    clips = Clips(Sounds("train", pictures.names))
    model = ImageBind(config, modalities=["audio"])
    start(model, clips)
    model.to(device)

    def loss_of(x: Tensor, labels: Tensor, keep: float, g: torch.Generator) -> Tensor:
        a = encode_with_fewer_tokens(model, "audio", x.to(device), keep, g)
        chosen = pictures.one_of_each(labels, g)
        view = torch.randint(len(images), (len(chosen),), generator=g)
        target = 0.8 * means[labels] + 0.2 * images[view, chosen]
        scale = model.modality_postprocessors["audio"][1].log_logit_scale.exp()
        return info_nce(a, target, scale)

    folder = RUNS / f"{args.space}-{args.seed}" / "audio"
    run = Run(folder, args.steps, lr=3e-3, muon_lr=3e-3, seed=args.seed + 50)

    def first(step: int, g: torch.Generator) -> Tensor:
        done = step / args.steps
        return loss_of(*clips.draw(g, min(0.75, 1.2 * done)), 0.35 if done < 0.9 else 0.8, g)

    def again(step: int, g: torch.Generator) -> Tensor:
        return loss_of(*clips.draw(g, 0.75), 0.5, g)

    def restart(name: str, seed: int) -> None:
        run = Run(folder / name, args.restart_steps, lr=2e-3, muon_lr=2e-3, seed=args.seed + seed)
        fit(model, again, run, f"{args.space} audio, {name}")

    fit(model, first, run, f"{args.space} audio")
    restart("restart", 60)
    origin = deepcopy(model.state_dict())
    endings = []
    for i in range(args.soup):
        model.load_state_dict(origin)
        restart(f"soup-{i}", 70 + i)
        endings.append(deepcopy(model.state_dict()))
    if endings:
        model.load_state_dict({k: sum(e[k] for e in endings) / len(endings) for k in origin})
    whole = ImageBind(config)
    whole.load_state_dict({**frozen.state_dict(), **model.cpu().state_dict()})
    torch.save(whole.state_dict(), RUNS / f"{args.space}-{args.seed}" / "imagebind.pt")
    metadata = {"space": args.space, "templates": TEMPLATES}
    save_imagebind(whole, RUNS / f"{args.space}-{args.seed}" / "embedder", metadata)
    print({k: round(v, 4) for k, v in evaluate(whole.eval()).items()})


if __name__ == "__main__":
    main()
