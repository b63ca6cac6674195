"""The rows of the study: what is varied, and with what name in the paper.

Each value is what `bindplug train` gets beside BASE; an "image" trunk is first bound to names.
Image and text side are the shipped embedder's, frozen; the audio trunk is frozen too, so its
features are cached, unless "trained" stands in the value's name.
"""

from __future__ import annotations

EFFECTS = "audio=effects:pretrained=true,dropout=0.1"
BASE = {
    "init": "small", "tower": (EFFECTS,), "lock": ("audio",), "data": "train",
    "positives": "pair", "temperature": 0.07, "batch_size": 64, "epochs": 32.0, "lr": 2e-3,
    "wd": 0.05, "views": 4, "aug": ("audio=basic", "image=basic"),
}  # fmt: skip
OWN = "audio=imagebind:width=128,depth=4,heads=4"
TRAINED = {"lock": (), "lr": 3e-4, "epochs": 16.0}
LITE = "image=timm:tf_efficientnet_{0},checkpoint={1}"  # the file lies in the folder of runs


def row(paper: str, **values: dict) -> dict:
    return {"paper": paper, "values": values}


ROWS = {
    "temperature": row(
        "Table 5a",
        **{"learnt": {"learn_temp": True}, "0.05": {"temperature": 0.05}, "0.07": {},
           "0.2": {"temperature": 0.2}, "1.0": {"temperature": 1.0}},
    ),
    "head": row(
        "Table 5b", linear={}, mlp={"tower": (EFFECTS + ",head=mlp",)},
    ),
    "epochs": row(
        "Table 5c", **{f"{n}x": {"epochs": 8.0 * n} for n in (1, 2, 4, 8)},
    ),
    "image augmentation": row(
        "Table 5d", basic={}, strong={"aug": ("audio=basic", "image=strong")},
    ),
    "alignment": row(
        "Table 5e and 5g",
        **{"matched": {"data": "matched", "positives": "pair"},
           "shuffled within concept": {"data": "train", "positives": "pair"},
           "10 % mismatched": {"data": "mismatched-10", "positives": "pair"},
           "30 % mismatched": {"data": "mismatched-30", "positives": "pair"}},
    ),
    "audio augmentation": row(
        "Table 5h", none={"aug": ("audio=none", "image=basic")}, basic={},
        **{"+ frequency mask": {"aug": ("audio=window,frequency_mask:12", "image=basic")}},
    ),
    "batch": row(
        "Table 7", **{str(n): {"batch_size": n} for n in (16, 32, 64, 128, 256, 512)},
    ),
    "audio trunk": row(
        "Table 6",
        **{"from nothing, trained": {"tower": (OWN,), **TRAINED, "lr": 1e-3, "epochs": 64.0},
           "pretrained, frozen": {}, "pretrained, trained": TRAINED},
    ),
    "image trunk": row(
        "Figure 6",
        **{"own ViT, trained": {"image": "image=imagebind:width=128,depth=4,heads=4,patch_size=14"},
           "Lite0": {"image": LITE.format("lite0", "efficientnet-lite0-57934424.pth")},
           "Lite2": {"image": LITE.format("lite2", "efficientnet-lite2-9656183e.pth")}},
    ),
}  # fmt: skip
