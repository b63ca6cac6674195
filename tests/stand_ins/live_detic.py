"""What `bindplug_detic.patched` touches of a detectron2 Detic, with its attributes and habits."""

import torch
from torch import nn

WIDTH, CLASSES = 512, 7


class ZeroShotClassifier(nn.Module):
    """As Detic's: columns, the last one background, in a parameter, a buffer or a tensor."""

    def __init__(self, kind):
        super().__init__()
        self.norm_weight, self.norm_temperature, self.use_bias = True, 50.0, False
        self.linear = nn.Linear(16, WIDTH)
        weight = nn.functional.normalize(torch.randn(WIDTH, CLASSES + 1), dim=0)
        weight[:, -1] = 0
        if kind == "parameter":
            self.zs_weight = nn.Parameter(weight)
        elif kind == "buffer":
            self.register_buffer("zs_weight", weight)
        else:
            self.zs_weight = weight

    def forward(self, x):
        x = 50 * nn.functional.normalize(self.linear(x), dim=1)
        return x @ self.zs_weight


class Stage(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cls_score = ZeroShotClassifier(kind)
        self.test_score_thresh = 0.02


class Heads(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.box_predictor = nn.ModuleList(Stage(kind) for _ in range(3))
        self.num_classes = CLASSES


class Model(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.roi_heads = Heads(kind)

    def forward(self, x):
        """Scores of the classes, averaged over the stages, without background."""
        scores = torch.stack([s.cls_score(x) for s in self.roi_heads.box_predictor]).mean(0)
        assert scores.shape[1] == self.roi_heads.num_classes + 1
        return scores[:, :-1].sigmoid()
