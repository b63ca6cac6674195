"""The recipes of ImageBind's Table 9, by the names of `bindplug.training.settings`.

Each binds one modality to frozen image and text encoders, which `--init` names. The paper's batches
are those of the table; with fewer GPUs give `--accum-freq`, which changes only what is drawn at
random.
"""

_ALL = {
    "opt": "adamw",
    "beta1": 0.9,
    "beta2": 0.95,
    "warmup_epochs": 2.0,
    "lr_scheduler": "cosine",
    "head": "linear",
    "precision": "amp_bf16",
}
PRESETS = {
    "paper-audio": {  # AudioSet
        **_ALL, "tower": ("audio=imagebind:drop_path=0.1",), "lr": 1.6e-3, "wd": 0.2,
        "batch_size": 2048, "grad_clip_norm": 1.0, "replicate": 1.25, "epochs": 64.0,
        "temperature": 0.05, "aug": ("image=strong", "audio=window,frequency_mask:12"),
    },
    "paper-depth": {  # SUN RGB-D
        **_ALL, "tower": ("depth=imagebind",), "lr": 1.6e-3, "wd": 0.2,
        "batch_size": 512, "grad_clip_norm": 1.0, "replicate": 50.0, "epochs": 64.0,
        "temperature": 0.2, "aug": ("image=strong", "depth=crop,flip,random_erasing"),
    },
    "paper-thermal": {  # LLVIP
        **_ALL, "tower": ("thermal=imagebind",), "lr": 5e-4, "wd": 0.05,
        "batch_size": 512, "grad_clip_norm": 5.0, "replicate": 25.0, "epochs": 64.0,
        "temperature": 0.1, "aug": ("image=strong", "thermal=crop,flip"),
    },
    "paper-imu": {  # Ego4D
        **_ALL, "tower": ("imu=imagebind:drop_path=0.7",), "lr": 5e-4, "wd": 0.5,
        "batch_size": 512, "grad_clip_norm": 1.0, "replicate": 1.0, "epochs": 8.0,
        "temperature": 0.2, "aug": ("image=strong",),
    },
}  # fmt: skip
