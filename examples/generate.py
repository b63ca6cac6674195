"""Paint a sound, and a sound together with a text, by the small generator of the package.

python examples/generate.py
"""

import bindplug

embedder = bindplug.load_embedder("small")
generator = bindplug.load_generator("unclip", weights="small")

rain = embedder.embed(audio="examples/media/rain.wav")
bird = embedder.embed(text="a bird")
both = bindplug.compose([(rain, 0.5), (bird, 0.5)])

for name, prompt in {"rain": rain, "rain-and-bird": both}.items():
    for i, picture in enumerate(generator.generate(prompt, num_images=4, seed=0)):
        picture.save(f"{name}-{i}.png")
