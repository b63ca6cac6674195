"""An embedding in a diffusers pipeline that you already have.

The pipeline here is the small one in the package, loaded as any diffusers pipeline is; a released
stable unCLIP takes ImageBind's own embeddings in the same way.
"""

from importlib.resources import files

from diffusers import StableUnCLIPImg2ImgPipeline

import bindplug
import bindplug_unclip

folder = str(files("bindplug_unclip") / "tiny")
pipe = StableUnCLIPImg2ImgPipeline.from_pretrained(folder)

dog = bindplug.load_embedder("tiny", "cpu").embed(audio="examples/media/dog.wav")
out = pipe(**bindplug_unclip.conditioning(pipe, dog), num_inference_steps=20, guidance_scale=3.0)
out.images[0].save("dog.png")
