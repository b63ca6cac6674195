"""The shipped small embedder: its transforms against independent sums, and its network."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import bindplug
from bindplug import BindplugError
from bindplug.bridge.vocabulary import default_vocabulary, read_vocabulary
from bindplug.models.small import audio, image, network, words
from bindplug.models.small.log_mel import log_mel
from bindplug.models.small.network import Tower, make_tower

RATE = 44_100
CONFIG = {
    "embed_dim": 8,
    "image": {"trunk": "tf_efficientnet_lite0", "size": 64},
    "text": {"rows": 5, "width": 6, "hidden": 4},
    "audio": {},
}


def tone(hertz: float, seconds: float, rate: int = RATE) -> np.ndarray:
    return 0.9 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def mel(hertz):
    return 2595 * np.log10(1 + hertz / 700)


def test_log_mel_is_the_documented_sum():
    wave = tone(1000, 0.2) + 0.3 * tone(5000, 0.2)
    found = log_mel(wave.astype(np.float32))
    edges = 700 * (10 ** (np.linspace(0, mel(22_050), 98) / 2595) - 1)
    bins = np.arange(1025) * RATE / 2048
    padded = np.pad(wave, 1024)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    for frame in (0, 3, 8):
        power = np.abs(np.fft.rfft(padded[1024 * frame :][:2048] * window)) ** 2
        for band in (0, 20, 40, 95):
            low, mid, high = edges[band : band + 3]
            weight = np.clip(
                np.minimum((bins - low) / (mid - low), (high - bins) / (high - mid)), 0, None
            )
            wanted = (
                np.log10(1 + 10_000 * (power * weight).sum() / weight.sum()) / 9.457798957824707
            )
            assert found[frame, band] == pytest.approx(wanted, abs=1e-4)
    assert found.shape == (9, 96)


def test_blocks_cover_a_sound_and_say_where_they_lie():
    x, bounds = audio.transform_audio((tone(500, 5), RATE))
    assert x.shape == (4, 100, 96)  # 216 frames: starts at 0, 50, 100, 150
    assert [round(start * RATE / 1024) for start, _ in bounds] == [0, 50, 100, 150]
    assert bounds[-1][1] == pytest.approx(5) and bounds[0][1] == pytest.approx(102_400 / RATE)
    assert x[3, 66:].abs().max() == 0 < x[3, :60].max()
    two, bounds = audio.transform_audio((tone(500, 5), RATE), clips=2)
    assert (
        two.shape[0] == 2
        and torch.equal(two[0], x[0])
        and bounds[1][1] == pytest.approx(5, abs=0.03)
    )
    short, bounds = audio.transform_audio((tone(500, 0.03), RATE), clips=3)
    assert short.shape == (1, 100, 96) and bounds[0] == (0, pytest.approx(0.03, abs=1e-3))


def test_levels_channels_and_rates_are_made_equal():
    loud = audio.transform_audio((tone(700, 1), RATE))[0]
    assert torch.allclose(loud, audio.transform_audio((tone(700, 1) / 50, RATE))[0], atol=1e-3)
    plain = audio.transform_audio((tone(700, 1) / 50, RATE), normalize="none")[0]
    assert plain.max() < loud.max() - 0.3
    stereo = np.stack([np.zeros(RATE), tone(700, 1)])
    assert torch.allclose(loud, audio.transform_audio((stereo, RATE))[0], atol=1e-3)
    slow = audio.transform_audio((tone(700, 1, 16_000), 16_000))[0]
    assert slow[0, 20].argmax() == loud[0, 20].argmax()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"clips": 0}, "clips 0"),
        ({"clips": "some"}, "clips 'some'"),
        ({"normalize": "rms"}, "normalize"),
        ({"channel": "left"}, "channel"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises(BindplugError, match=words):
        audio.transform_audio((tone(500, 0.2), RATE), **options)


def test_a_sound_of_less_than_25_ms_is_refused():
    with pytest.raises(BindplugError, match="shorter than 25 ms"):
        audio.transform_audio((tone(500, 0.02), RATE))


def test_images_are_resized_to_256_and_cropped_to_224():
    pixels = np.random.default_rng(0).integers(0, 256, (300, 512, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    wanted = picture.resize((436, 256), Image.Resampling.BICUBIC).crop((106, 16, 330, 240))
    x = image.transform_image(picture, 224)
    assert x.shape == (3, 224, 224)
    assert np.allclose(x.permute(1, 2, 0).numpy(), np.asarray(wanted) / 127.5 - 1, atol=1e-6)


def test_a_video_is_its_frames_averaged_and_classes_come_squared():
    trunk = make_tower("image", CONFIG).eval().trunk
    torch.nn.init.normal_(trunk.classifier.weight)
    frames = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        features = trunk.net(frames).mean(0, keepdim=True)
        both = trunk(frames.transpose(0, 1)[None])
        logits = features @ trunk.classifier.weight.T + trunk.classifier.bias
    assert torch.allclose(both[:, :1280], features, atol=1e-5)
    assert torch.allclose(both[:, 1280:], logits.softmax(1) ** 2, atol=1e-5)
    assert trunk.width == 2280 == both.shape[1]


def test_words_are_looked_up_and_weighed(caplog):
    rows = {"dog": 1, "fire": 2, "engine": 3, "the": 4}
    keys = {words.word_key(w): row for w, row in rows.items()}
    table = words.WordTable(
        np.array(sorted(keys), np.uint32), np.array([keys[k] for k in sorted(keys)], np.uint16)
    )
    assert table("The DOG's fire-engine!")[:5].tolist() == [4, 1, 2, 3, 0]
    tower = make_tower("text", CONFIG)
    vectors, weights = tower.trunk.vectors.weight, tower.trunk.weights.weight[:, 0]
    share = weights[[2, 3]].softmax(0)
    mean = share[0] * vectors[2] + share[1] * vectors[3]
    wanted = torch.cat([torch.nn.functional.gelu(tower.trunk.hidden(mean)), mean])
    rows = torch.from_numpy(table("fire engine"))
    assert torch.allclose(tower.trunk(rows[None])[0], wanted, atol=1e-6)
    with caplog.at_level(logging.WARNING, "bindplug"):
        table("dog qwxyz")
        assert not caplog.records
        table("qwxyz")
    assert "none of its words is known" in caplog.text
    for wrong in ("", "?!", 7):
        with pytest.raises(BindplugError, match="text"):
            table(wrong)


@pytest.mark.parametrize("name", ["image", "text", "audio"])
def test_towers_give_unit_vectors(name):
    tower: Tower = make_tower(name, CONFIG).eval()
    x = {
        "image": torch.rand(2, 3, 64, 64),
        "text": torch.tensor([[1, 2], [3, 0]]),
        "audio": torch.rand(2, 100, 96),
    }[name]
    with torch.inference_mode():
        out = tower(x)
    assert out.shape == (2, 8) and out.dtype == torch.float32
    assert torch.allclose(out.norm(dim=1), torch.ones(2), atol=1e-5)


def test_a_folder_that_is_not_whole_ends_in_a_line(tmp_path):
    shipped = Path(network.__file__).parent
    config = json.loads((shipped / "config.json").read_text())

    def refused(match, config=config, weights=None):
        (tmp_path / "config.json").write_text(json.dumps(config))
        (tmp_path / "model.safetensors").write_bytes(
            (shipped / "model.safetensors").read_bytes() if weights is None else weights
        )
        with pytest.raises(BindplugError, match=match):
            network.open_folder(tmp_path).embed(text="a dog")

    refused("not a folder of towers", config=[])
    for key in ("space", "embed_dim", "templates", "temperature"):
        refused(key, config={k: v for k, v in config.items() if k != key})
    refused("cannot be read as weights", weights=b"")
    refused("has shape", config={**config, "embed_dim": 8})
    with pytest.raises(BindplugError, match="not a folder of towers"):
        network.open_folder(tmp_path / "absent")


def test_a_tower_that_was_used_can_be_cast():
    embedder = network.open_folder(Path(network.__file__).parent)
    before = embedder.embed(text="a dog").vectors
    embedder.network.cast(torch.bfloat16)
    assert float((embedder.embed(text="a dog").vectors * before).sum()) > 0.99


def test_quiet_blocks_are_left_out():
    wave = np.concatenate([tone(700, 3), tone(700, 6) * 1e-3, tone(700, 3)])
    blocks, times = audio.transform_audio((wave, RATE))
    middle = [(start, end) for start, end in times if start > 3 and end < 9]
    assert not middle and len(blocks) == len(times) > 2
    assert len(audio.transform_audio((wave * 0, RATE))[0]) > 2  # silence has no loudest block
    assert len(audio.transform_audio((wave, RATE), clips=9)[0]) == 9


def test_words_that_no_name_holds():
    """The shipped model knows plurals, and words of a dictionary by what they mean."""
    embedder = bindplug.load_embedder("small", "cpu")
    known = {"lions": "lion", "cars": "car", "narwhal": "whale", "raindrop": "water drop",
             "trombones": "tuba", "bandsaw": "saw"}  # fmt: skip
    others = ["monkey", "duck", "piano", "hammer", "fire", "clock"]
    names = embedder.embed(text=[*dict.fromkeys(known.values()), *others])
    nearest = (embedder.embed(text=list(known)).vectors @ names.vectors.T).argmax(1)
    assert {w: names.labels[i] for w, i in zip(known, nearest, strict=True)} == known
    assert (embedder.embed(text="lions").vectors == embedder.embed(text="lion").vectors).all()


def test_photographs_are_named_among_two_thousand_names(media):
    embedder = bindplug.load_embedder("small", "cpu")
    names = embedder.embed(text=sorted({*default_vocabulary(), *read_vocabulary("imagenet-1k")}))
    wanted = {"chelsea.png": "cat", "coffee.png": "espresso", "rocket.jpg": "missile"}
    rows = embedder.embed(image=[str(media / file) for file in wanted]).vectors
    nearest = (rows @ names.vectors.T).argmax(1)
    assert [names.labels[i] for i in nearest] == list(wanted.values())
