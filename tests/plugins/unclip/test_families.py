"""Kandinsky 2.2 and IP-Adapters, as small random pipelines of the real classes."""

import numpy as np
import pytest
import torch

from bindplug import BindplugError, Embedding, SpaceMismatch
from bindplug_unclip import conditioning

WIDTH = 32
SPACE = "a space"


def rows(count, width=WIDTH, space=SPACE):
    vectors = np.random.default_rng(0).normal(size=(count, width))
    return Embedding(vectors, space, "audio", ("x",) * count)


def paint(pipe, seeds=(0,), **kwargs):
    generators = [torch.Generator().manual_seed(s) for s in seeds]
    pipe.set_progress_bar_config(disable=True)
    return pipe(
        generator=generators, num_inference_steps=3, height=64, width=64, output_type="np", **kwargs
    ).images


def test_kandinsky_equals_its_own_entry(kandinsky):
    embedding = rows(2)
    ours = paint(kandinsky, (0, 1), **conditioning(kandinsky, embedding))
    vectors = torch.from_numpy(embedding.vectors * WIDTH**0.5)
    zeros = torch.zeros_like(vectors)
    own = {"image_embeds": vectors, "negative_image_embeds": zeros}
    assert np.array_equal(ours, paint(kandinsky, (0, 1), **own))
    assert not np.array_equal(ours[0], ours[1])
    away = rows(3)[2]
    ours = paint(kandinsky, (0, 1), **conditioning(kandinsky, embedding, negative=away))
    own["negative_image_embeds"] = torch.from_numpy(away.vectors * WIDTH**0.5).repeat(2, 1)
    assert np.array_equal(ours, paint(kandinsky, (0, 1), **own))
    refused = (
        ({"prompt": "oil"}, "no prompt"),
        ({"negative": rows(3)}, "one row"),
        ({"noise_level": 3}, "has no option 'noise_level'; it has negative"),
    )
    for kw, words in refused:
        with pytest.raises(BindplugError, match=words):
            conditioning(kandinsky, embedding, **kw)


def test_an_ip_adapter_equals_its_own_entry(adapted):
    one, other = rows(2)[0], rows(2)[1]
    vector = torch.from_numpy(one.vectors * 20)[:, None]
    ours = paint(adapted, **conditioning(adapted, one, prompt="a"))
    own = [torch.cat([torch.zeros_like(vector), vector])]
    assert np.array_equal(ours, paint(adapted, prompt="a", ip_adapter_image_embeds=own))
    another = paint(adapted, **conditioning(adapted, other, prompt="a"))
    assert not np.array_equal(ours, another), "the embedding does not matter"
    free = conditioning(adapted, one, guidance=False)
    theirs = paint(adapted, prompt="", ip_adapter_image_embeds=[vector], guidance_scale=1.0)
    assert np.array_equal(paint(adapted, guidance_scale=1.0, **free), theirs)


def test_several_pictures_are_of_the_row(adapted):
    one = rows(2)[1]
    both = paint(adapted, (0, 1), **conditioning(adapted, one, num_images=2))
    for i in range(2):
        alone = paint(adapted, (i,), **conditioning(adapted, one))
        assert np.abs(alone[0] - both[i]).max() < 1e-5
    with pytest.raises(BindplugError, match="one embedding a call"):
        conditioning(adapted, rows(2))


def test_several_pictures_for_several_rows(kandinsky):
    embedding = rows(2)
    four = paint(kandinsky, (0, 1, 2, 3), **conditioning(kandinsky, embedding, num_images=2))
    for i in range(4):
        alone = paint(kandinsky, (i,), **conditioning(kandinsky, embedding[i // 2]))
        other = paint(kandinsky, (i,), **conditioning(kandinsky, embedding[1 - i // 2]))
        assert np.abs(alone[0] - four[i]).mean() < 1e-3 < np.abs(other[0] - four[i]).mean()


def test_refused(kandinsky, adapted):
    kandinsky.bindplug_space = SPACE
    with pytest.raises(SpaceMismatch, match="'a space'"):
        conditioning(kandinsky, rows(1, space="another"))
    with pytest.raises(SpaceMismatch, match="the negative is of 'another'"):
        conditioning(kandinsky, rows(1), negative=rows(1, space="another"))
    for pipe in (kandinsky, adapted):
        with pytest.raises(BindplugError, match="embeddings of width 32, got 16"):
            conditioning(pipe, rows(1, 16))
    with pytest.raises(BindplugError, match="at least 1"):
        conditioning(adapted, rows(1), num_images=0)
    layers = adapted.unet.encoder_hid_proj.image_projection_layers
    plain = layers[0]
    layers[0] = torch.nn.Identity()
    with pytest.raises(BindplugError, match="reads an image's patches"):
        conditioning(adapted, rows(1))
    layers[0] = plain
