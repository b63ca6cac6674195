import click

from ..storage.examples import example_images, example_sounds
from .options import device_option, output_options
from .output import say

SEED = 12  # of the images, chosen among the first 22 by eye


@click.command()
@output_options
@device_option
def demo(output, overwrite, device):
    """Find what five recordings mean in photographs and scenes, and generate an image of each.

    Writes demo.png, a contact sheet.
    """
    from ..bridge import cross
    from ..detection.drawing import sheet
    from ..models.load import load_detector, load_embedder, load_generator
    from ..storage.atomic import make_folder, refuse_existing, write_file

    folder = make_folder(output)
    target = folder / "demo.png"
    refuse_existing([target], overwrite)
    sounds, scenes = example_sounds(), example_images()
    embedder = load_embedder(device=device)
    detector = load_detector(device=device)
    generator = load_generator(device=device)
    prompts = embedder.embed(audio=[str(s) for s in sounds])
    _, bridge = cross(prompts, detector.space)
    features = [detector.features(str(scene)) for scene in scenes]
    rows = []
    for i, sound in enumerate(sounds):
        words = ", ".join(f"{w} {p:.2f}" for w, p in bridge.explain(prompts[i], top=3)[0])
        say(f"{sound.name}: heard as {words}")
        cells = []
        for scene, seen in zip(scenes, features, strict=True):
            found = detector.detect(seen, prompts[i])
            best = f"best {found.scores[0]:.2f}" if len(found) else "nothing found"
            say(f"  {scene.name}: {len(found)} found, {best}")
            cells.append((f"{scene.stem}: {best}", found.overlay()))
        [image] = generator.generate(prompts[i], seed=SEED)
        cells.append(("generated", image))
        rows.append((f"{sound.name}, heard as {words}", cells))
    image = sheet(rows)
    write_file(target, lambda f: image.save(f, format="PNG"))
    say("contact sheet:")
    click.echo(target.resolve())
