"""The region head: a pretrained network on boxes, beside the box head."""

import numpy as np
import pytest
import torch
from PIL import Image

import bindplug
from bindplug_detic.config import DeticConfig
from bindplug_detic.roi_heads import RegionHead, pool

SIZES = DeticConfig("x", (), (), embed_dim=4, region_width=6, region_classes=5)


def test_it_is_the_mean_over_the_box_and_its_classes():
    head, (start, across, down) = RegionHead(SIZES), torch.rand(3, 6, 1, 1)
    cells = torch.arange(8.0)
    region_map = (start + across * cells + down * cells[:, None])[None]
    box = torch.tensor([[32.0, 64, 96, 192]])  # cells 1 and 2 across, 2 to 5 down
    mean = (start + across * 1.5 + down * 3.5).flatten()
    sure = head.classifier(mean).softmax(0) ** 2
    with torch.inference_mode():
        found = head(region_map, [box])[0]
        wanted = head.embed(torch.cat([mean, sure]))
    assert torch.allclose(found, wanted, atol=1e-6)


def test_all_stages_share_what_it_sees_in_the_last_ones_boxes(media):
    model = bindplug.load_detector("detic", device="cpu").model
    image = np.asarray(Image.open(media / "coffee.png").convert("RGB"))[:, :, ::-1]
    encoded = model.features(np.ascontiguousarray(image), 160, 280)
    heads, last = model.roi_heads, encoded.stages[-1].boxes
    with torch.inference_mode():
        region = heads.regions(encoded.maps, [last])
        for i, stage in enumerate(encoded.stages):
            x = heads.box_head[i](pool(encoded.maps, [stage.boxes], 7))
            rows = heads.box_predictor[i]["cls_score"].embed(x, region)
            assert torch.allclose(stage.embeddings, rows, atol=1e-4)


@pytest.mark.parametrize(
    ("file", "text", "wrong"),
    [("chelsea.png", "a cat", "a dog"), ("coffee.png", "espresso", "a cat")],
)
def test_the_shipped_one_finds_things_in_photographs(file, text, wrong, media):
    detector = bindplug.load_detector("detic", device="cpu")
    embed = bindplug.load_embedder("small", "cpu").embed
    found, other = (
        detector.detect(str(media / file), embed(text=t), threshold=0.01) for t in (text, wrong)
    )
    assert found.scores.max() > 0.5 > 0.2 > other.scores.max(initial=0)
