"""Karlo, Stable Cascade's prior, SDXL with an IP-Adapter, and any text-to-image pipeline, as small
random pipelines of the real classes: what a pipeline's own entry gives, ours gives too."""

import numpy as np
import pytest
import torch

import bindplug
from bindplug import BindplugError, Embedding
from bindplug_unclip import conditioning
from bindplug_unclip.generator import PipelineGenerator, load

WIDTH = 32


def rows(count, width=WIDTH, space="x"):
    vectors = np.random.default_rng(0).normal(size=(count, width))
    return Embedding(vectors, space, "audio", ("x",) * count)


def paint(pipe, seed=0, **kwargs):
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(seed)
    return pipe(generator=generator, output_type="np", **kwargs).images


FEW = {"decoder_num_inference_steps": 2, "super_res_num_inference_steps": 2}


def test_karlos_variations_equal_their_own_entry(variation):
    from PIL import Image

    noise = np.random.default_rng(3).integers(0, 255, (32, 32, 3), np.uint8)
    image = Image.fromarray(noise)
    x = variation.feature_extractor(images=image, return_tensors="pt").pixel_values
    with torch.inference_mode():
        embeds = variation.image_encoder(x).image_embeds
    length = float(embeds.norm())
    embedding = Embedding(embeds.numpy(), "x", "image", ("x",))
    ours = paint(variation, **conditioning(variation, embedding, norm=length), **FEW)
    theirs = paint(variation, image=image, **FEW)
    assert np.abs(ours - theirs).max() < 2e-3  # the unit row brought back to its length
    exact = torch.from_numpy(embedding.vectors * length)
    assert np.array_equal(ours, paint(variation, image_embeddings=exact, **FEW))
    other = paint(variation, **conditioning(variation, rows(2)[1]), **FEW)
    assert not np.array_equal(other, ours)
    with pytest.raises(BindplugError, match="reads no prompt"):
        conditioning(variation, rows(1), prompt="a")


def test_karlo_takes_the_texts_place(karlo):
    tokens = karlo.tokenizer("a", padding="max_length", max_length=77, return_tensors="pt")
    with torch.inference_mode():
        out = karlo.text_encoder(tokens.input_ids)
    length = float(out.text_embeds.norm())
    embedding = Embedding(out.text_embeds.numpy(), "x", "text", ("a",))
    few = {**FEW, "prior_num_inference_steps": 2}
    ours = paint(karlo, **conditioning(karlo, embedding, prompt="a", norm=length), **few)
    theirs = paint(karlo, prompt="a", **few)
    assert np.abs(ours - theirs).max() < 2e-3
    sound = paint(karlo, **conditioning(karlo, rows(2)[0]), **few)
    assert not np.array_equal(sound, paint(karlo, **conditioning(karlo, rows(2)[1]), **few))
    two = conditioning(karlo, rows(2), num_images=2)
    assert two["text_model_output"][0].shape == (4, WIDTH)
    assert torch.equal(two["text_model_output"][0][0], two["text_model_output"][0][1])
    assert two["text_attention_mask"].shape == (4, 77)


def test_karlo_from_a_folder(karlo, tmp_path):
    karlo.save_pretrained(tmp_path)
    (tmp_path / "bindplug.json").write_text('{"space": "small"}')
    there = load(f"local:{tmp_path}", "cpu")
    assert there.size == 64 and there.family.region == "text"
    embedding = rows(1, space="small")
    picture = there.generate(embedding, seed=2, steps=2)[0]
    assert picture.size == (64, 64)
    few = {"decoder_num_inference_steps": 2}  # guidance: the pipeline's own
    torch.manual_seed(2)
    own = paint(karlo, 2, **conditioning(karlo, embedding), **few)
    assert np.abs(np.asarray(picture) / 255 - own[0]).max() < 3e-3
    with pytest.raises(BindplugError, match="has no noise level"):
        there.generate(embedding, noise_level=5)
    with pytest.raises(BindplugError, match="no negative prompt"):
        there.generate(embedding, negative_text="x")
    with pytest.raises(BindplugError, match="height of its own"):
        there.generate(embedding, height=32)


def test_cascades_prior_equals_its_own_entry(cascade):
    cascade.set_progress_bar_config(disable=True)

    def run(**kwargs):
        generator = torch.Generator().manual_seed(0)
        out = cascade(num_inference_steps=2, height=256, width=256, generator=generator, **kwargs)
        return out.image_embeddings

    one = rows(2)[0]
    ours = run(**conditioning(cascade, one, prompt="a"))
    vector = torch.from_numpy(one.vectors * WIDTH**0.5)[:, None]
    assert torch.equal(ours, run(prompt="a", image_embeds=vector))
    assert not torch.equal(ours, run(**conditioning(cascade, rows(2)[1], prompt="a")))
    with pytest.raises(BindplugError, match="one embedding a call"):
        conditioning(cascade, rows(2))
    with pytest.raises(BindplugError, match="makes no pictures"):
        PipelineGenerator(cascade, "x")


def test_sdxl_equals_its_own_entry(sdxl):
    one, away = rows(2)[0], rows(2)[1]
    few = {"num_inference_steps": 2, "height": 32, "width": 32}
    vector = torch.from_numpy(one.vectors * 20)[:, None]
    ours = paint(sdxl, **conditioning(sdxl, one, prompt="a"), **few)
    own = [torch.cat([torch.zeros_like(vector), vector])]
    assert np.array_equal(ours, paint(sdxl, prompt="a", ip_adapter_image_embeds=own, **few))
    assert not np.array_equal(ours, paint(sdxl, **conditioning(sdxl, away, prompt="a"), **few))
    ours = paint(sdxl, **conditioning(sdxl, one, prompt="a", negative=away), **few)
    own = [torch.cat([torch.from_numpy(away.vectors * 20)[:, None], vector])]
    assert np.array_equal(ours, paint(sdxl, prompt="a", ip_adapter_image_embeds=own, **few))
    assert len(paint(sdxl, **conditioning(sdxl, one, num_images=2), **few)) == 2


def test_any_text_to_image_pipeline_is_told_in_words(reader, media):
    small = bindplug.load_embedder("small", "cpu")
    rooster = small.embed(audio=str(media / "rooster.wav"))
    told = conditioning(reader, rooster, vocabulary=["rooster", "rain"])
    assert told == {"prompt": ["a picture of rooster"]}
    both = small.embed(text=["a red kite", "a cat"])
    told = conditioning(reader, both, prompt="an oil painting of {}", num_images=2)
    assert (
        told["prompt"] == ["an oil painting of a red kite"] * 2 + ["an oil painting of a cat"] * 2
    )
    assert conditioning(reader, both[0], prompt="at night")["prompt"] == [
        "a picture of a red kite, at night"
    ]
    few = {"num_inference_steps": 2, "height": 32, "width": 32}
    assert paint(reader, **told, **few).shape == (4, 32, 32, 3)
    with pytest.raises(BindplugError, match="no option 'norm_'"):
        conditioning(reader, both, norm_=3)
    with pytest.raises(BindplugError, match="3 prompts for 2 rows"):
        conditioning(reader, both, prompt=["a", "b", "c"])


def test_words_in_a_generator(reader, media):
    small = bindplug.load_embedder("small", "cpu")
    generator = PipelineGenerator(reader)
    assert generator.reads_text and generator.space == ""
    a, b = generator.generate(small.embed(text=["a", "a a"]), steps=2, height=32, width=32)
    assert a.size == (32, 32) and not np.array_equal(np.asarray(a), np.asarray(b))
    with pytest.raises(BindplugError, match="negative_prompt"):
        generator.generate(small.embed(text="a"), negative=small.embed(text="b"))
    with pytest.raises(BindplugError, match="no in-between"):
        generator.morph(small.embed(text="a"), small.embed(text="b"), 3)
