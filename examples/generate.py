"""Paint a sound, and a sound together with a text, in a stable unCLIP pipeline of yours.

python examples/generate.py PIPELINE IMAGEBIND
"""

import sys

from diffusers import StableUnCLIPImg2ImgPipeline

import bindplug
import bindplug_unclip

pipe = StableUnCLIPImg2ImgPipeline.from_pretrained(sys.argv[1])
embedder = bindplug.load_embedder("local:" + sys.argv[2])

rain = embedder.embed(audio="examples/media/rain.wav")
bird = embedder.embed(text="a bird")
both = bindplug.compose([(rain, 0.5), (bird, 0.5)])

for name, prompt in {"rain": rain, "rain-and-bird": both}.items():
    conditioning = bindplug_unclip.conditioning(pipe, prompt)
    pipe(**conditioning, num_inference_steps=20).images[0].save(f"{name}.png")
