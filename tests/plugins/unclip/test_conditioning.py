"""The keyword arguments for a pipeline that the user already has."""

import numpy as np
import pytest
import torch

from bindplug import BindplugError, Embedding, SpaceMismatch
from bindplug_unclip import conditioning
from bindplug_unclip.generator import load


@pytest.fixture(scope="module")
def pipe(pipeline_folder):
    pipe = load(f"local:{pipeline_folder}", "cpu").pipe
    pipe.set_progress_bar_config(disable=True)
    return pipe


def rows(count, width=256, space="small"):
    vectors = np.random.default_rng(0).normal(size=(count, width))
    return Embedding(vectors, space, "audio", ("x",) * count)


def seeded(pipe, **kwargs):
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    return pipe(generator=generator, num_inference_steps=3, output_type="np", **kwargs).images


def test_equals_the_pipelines_own_entry(pipe):
    embedding = rows(2)
    ours = seeded(pipe, **conditioning(pipe, embedding))
    image_embeds = torch.from_numpy(embedding.vectors * 256**0.5)
    theirs = seeded(pipe, prompt=["", ""], image_embeds=image_embeds)
    assert ours.shape == (2, 32, 32, 3) and np.array_equal(ours, theirs)
    assert not np.array_equal(ours[0], ours[1]), "each row conditions its own picture"


def test_norm_and_noise(pipe):
    out = conditioning(pipe, rows(3), norm=20.0, noise_level=7)
    assert torch.allclose(out["image_embeds"].norm(dim=1), torch.full((3,), 20.0))
    assert out["noise_level"] == 7 and len(out["prompt"]) == 3
    default = conditioning(pipe, rows(1))["image_embeds"]
    assert np.isclose(default.norm().item(), 256**0.5, rtol=1e-5)
    assert conditioning(pipe, rows(2), prompt="oil")["prompt"] == ["oil", "oil"]
    with pytest.raises(BindplugError, match="3 prompts for 2 rows"):
        conditioning(pipe, rows(2), prompt=["a", "b", "c"])
    with pytest.raises(BindplugError, match="999"):
        conditioning(pipe, rows(1), noise_level=1000)


def test_wrong_space_width_and_pipeline(pipe):
    with pytest.raises(SpaceMismatch, match=r"wants 'small'.*fit_bridge"):
        conditioning(pipe, rows(1, space="small-clip"))
    with pytest.raises(BindplugError, match="256"):
        conditioning(pipe, rows(1, width=96))
    with pytest.raises(BindplugError, match="takes no image embedding"):
        conditioning(object(), rows(1))


def test_released_widths_have_their_space_and_norm(pipe):
    class Wide:
        """A pipeline as far as conditioning looks at one, in the released width."""

        device, unet = torch.device("cpu"), pipe.unet

        class image_normalizer:
            mean = torch.zeros(1, 1024)

    vector = rows(1, 1024, "openclip-vit-h-14/laion2b")
    assert np.isclose(conditioning(Wide, vector)["image_embeds"].norm().item(), 20)
    with pytest.raises(SpaceMismatch, match="openclip-vit-h-14"):
        conditioning(Wide, rows(1, 1024))
