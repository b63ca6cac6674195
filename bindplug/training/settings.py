"""Settings of a run of `bindplug train`: its flags, which a TOML file and presets may give too.

Names are open_clip's where it has one. This file imports nothing heavy: the command line makes its
flags from it.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path

from ..errors import BindplugError, check_choice
from ..storage.text_file import read_text
from .presets import PRESETS

KINDS = ("auto", "csv", "jsonl", "folder", "videos", "webdataset", "audioset", "sunrgbd", "llvip",
         "ego4d")  # fmt: skip


def _setting(default, section: str, help: str, choices: tuple = (), least=None):
    notes = {"section": section, "help": help, "choices": choices, "least": least}
    return field(default=default, metadata=notes)


@dataclass(frozen=True)
class Settings:
    """All that decides a run. A tuple is given by repeating its flag, or as a list."""

    train_data: tuple[str, ...] = _setting(
        (), "Data", "CSV, JSONL, folder, shards (a pattern) or a data set's folder."
    )
    val_data: tuple[str, ...] = _setting((), "Data", "The same, for figures while training.")
    dataset_type: str = _setting("auto", "Data", "What the data is.", KINDS)
    train_num_samples: int = _setting(0, "Data", "Pairs per epoch; required for shards.", least=0)
    replicate: float = _setting(1.0, "Data", "How often an epoch shows each pair.", least=0.01)
    csv_img_key: str = _setting("", "Data", "Column of images, if not called image.")
    csv_caption_key: str = _setting("", "Data", "Column of texts, if not called text.")
    align: str = _setting(
        "aligned",
        "Data",
        "Whether frame and sound share a moment, image and depth a crop.",
        ("aligned", "none"),
    )
    aug: tuple[str, ...] = _setting(
        (), "Data", "MODALITY=none|basic|strong or names: audio=window,frequency_mask:12."
    )
    option: tuple[str, ...] = _setting(
        (), "Data", "MODALITY.NAME=VALUE: how inputs are read, as depth.unit=sunrgbd."
    )
    views: int = _setting(
        4, "Data", "Augmented views per file for the features of frozen towers.", least=1
    )
    cache_features: bool = _setting(True, "Data", "Keep frozen towers' features on disk.")
    workers: int = _setting(2, "Data", "Threads that decode ahead.", least=1)
    strict: bool = _setting(False, "Data", "Stop at bad data instead of leaving it out.")

    init: str = _setting("", "Model", "Embedder to start from; its towers are frozen.")
    tower: tuple[str, ...] = _setting(
        (),
        "Model",
        "MODALITY=KIND[:NAME][,KEY=VALUE]: audio=imagebind:width=128,depth=4,heads=4, "
        "image=timm:resnet18,pretrained=true, audio=lora:r=16, audio=train.",
    )
    lock: tuple[str, ...] = _setting(
        (), "Model", "MODALITY or MODALITY=N: freeze a tower, or all but its last N blocks."
    )
    lock_image: bool = _setting(False, "Model", "The same as --lock image.")
    lock_text: bool = _setting(False, "Model", "The same as --lock text.")
    lock_image_unlocked_groups: int = _setting(0, "Model", "As --lock image=N.", least=0)
    lock_text_unlocked_layers: int = _setting(0, "Model", "As --lock text=N.", least=0)
    head: str = _setting(
        "linear", "Model", "Head of towers that do not name one.", ("linear", "mlp")
    )
    head_dropout: float = _setting(0.0, "Model", "Dropout of the features before a head.", least=0)
    embed_dim: int = _setting(
        0, "Model", "Width of the space; by default that of --init, else 512.", least=0
    )
    space: str = _setting("", "Model", "Name of a new space.")
    template: tuple[str, ...] = _setting((), "Model", 'Wording of a class name, such as "a {}".')

    temperature: float = _setting(0.07, "Loss", "Logits are cosines divided by it.", least=1e-4)
    learn_temp: bool = _setting(False, "Loss", "Train the temperature, from that value.")
    temperature_low: float = _setting(0.01, "Loss", "Smallest learnt temperature.", least=1e-4)
    temperature_high: float = _setting(10.0, "Loss", "Largest learnt temperature.", least=1e-4)
    positives: str = _setting(
        "pair",
        "Loss",
        "Positives: the pair alone, or all rows of one label or group.",
        ("pair", "label", "group"),
    )
    siglip: bool = _setting(False, "Loss", "Sigmoid loss in place of InfoNCE.")

    batch_size: int = _setting(64, "Training", "Pairs per step, over all processes.", least=2)
    accum_freq: int = _setting(
        1, "Training", "Parts in which a batch is embedded (GradCache).", least=1
    )
    epochs: float = _setting(32.0, "Training", "Passes over the data.", least=0.001)
    steps: int = _setting(0, "Training", "Training steps, in place of --epochs.", least=0)
    opt: str = _setting(
        "adamw", "Training", "Muon is for the matrices of transformer blocks.", ("adamw", "muon")
    )
    lr: float = _setting(5e-4, "Training", "Peak learning rate.", least=0)
    muon_lr: float = _setting(0.0, "Training", "Muon's learning rate; 0 takes --lr.", least=0)
    beta1: float = _setting(0.9, "Training", "AdamW's beta1.", least=0)
    beta2: float = _setting(0.98, "Training", "AdamW's beta2.", least=0)
    eps: float = _setting(1e-8, "Training", "AdamW's epsilon.", least=0)
    wd: float = _setting(0.2, "Training", "Weight decay.", least=0)
    warmup: int = _setting(0, "Training", "Steps of linear warm-up.", least=0)
    warmup_epochs: float = _setting(
        0.0, "Training", "Epochs of warm-up, in place of --warmup.", least=0
    )
    lr_scheduler: str = _setting(
        "cosine", "Training", "Learning rate after warm-up.", ("cosine", "const")
    )
    lr_cooldown_end: float = _setting(
        0.0, "Training", "Last learning rate of the cosine, as a share of the peak.", least=0
    )
    grad_clip_norm: float = _setting(
        1.0, "Training", "Largest gradient norm; 0 turns clipping off.", least=0
    )
    ema: float = _setting(
        0.0, "Training", "Decay of the averaged weights, which are exported; 0 for none.", least=0
    )
    precision: str = _setting("fp32", "Training", "Precision of trunks.", ("fp32", "amp_bf16"))
    grad_checkpointing: bool = _setting(False, "Training", "Recompute activations of blocks.")
    torchcompile: bool = _setting(False, "Training", "Run trunks through torch.compile.")
    seed: int = _setting(0, "Training", "Seed of everything random.", least=0)
    seeds: tuple[int, ...] = _setting((), "Training", "In place of --seed: one run for each.")

    name: str = _setting("run", "Run", "Folder of the run, below --logs.")
    logs: str = _setting("logs", "Run", "Folder of runs and cached features.")
    report_to: str = _setting("", "Run", "tensorboard, besides log.csv.", ("", "tensorboard"))
    log_every_n_steps: int = _setting(20, "Run", "Steps per line of log.csv.", least=1)
    val_frequency: float = _setting(1.0, "Run", "Epochs between validations.", least=0.001)
    early_stop: int = _setting(
        0, "Run", "Stop after this many validations without a better figure; 0: never.", least=0
    )
    early_stop_on: str = _setting("", "Run", "Figure for --early-stop; by default the first.")
    save_seconds: float = _setting(120.0, "Run", "Seconds between checkpoints.", least=0)
    licence: tuple[str, ...] = _setting((), "Run", "Licence of the data, for the model card.")

    def __post_init__(self):
        for f in fields(self):
            value, notes = getattr(self, f.name), f.metadata
            flag = flag_of(f.name)
            if notes["choices"]:
                check_choice(flag, value, notes["choices"])
            if notes["least"] is not None and not value >= notes["least"]:  # NaN too
                raise BindplugError(f"{flag} {value}; give at least {notes['least']}")
            if isinstance(value, float) and not math.isfinite(value):
                raise BindplugError(f"{flag} {value}; give a finite number")
        for name in ("ema", "lr_cooldown_end"):
            if not getattr(self, name) <= 1:
                raise BindplugError(f"{flag_of(name)} {getattr(self, name)}; give at most 1")
        for name in ("head_dropout", "beta1", "beta2"):
            if not getattr(self, name) < 1:
                raise BindplugError(f"{flag_of(name)} {getattr(self, name)}; give less than 1")
        for seed in (self.seed, *self.seeds):
            if not 0 <= seed < SEEDS:
                raise BindplugError(f"seed {seed}; give 0 to {SEEDS - 1}")
        if len(set(self.seeds)) < len(self.seeds):
            raise BindplugError("--seeds: one is given twice; each has a folder of its own")
        if (self.early_stop or self.early_stop_on) and not self.val_data:
            raise BindplugError("--early-stop compares figures of validation data; give --val-data")
        for template in self.template:
            if "{}" not in template:
                raise BindplugError(f"--template {template!r} has no {{}} for the name")
        if not self.train_data:
            raise BindplugError("no data to train on; give --train-data")


def flag_of(name: str) -> str:
    return "--" + name.replace("_", "-")


SEEDS = 2**32  # different ones
# Pairs of settings of which one takes the place of the other.
INSTEAD = (("warmup", "warmup_epochs"), ("steps", "epochs"), ("seed", "seeds"))
_FIELDS = {f.name: f for f in fields(Settings)}
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def converted(name: str, value, where: str):
    """A value from TOML as the setting's type; BindplugError names where it stands."""
    default = _FIELDS[name].default
    many = isinstance(default, tuple)
    kind = (int if name == "seeds" else str) if many else type(default)
    values = value if isinstance(value, list) else [value]
    if not many and isinstance(value, list):
        raise BindplugError(f"{where}: {name} is a list; give one value")
    for i, item in enumerate(values):
        if kind is float and isinstance(item, int) and not isinstance(item, bool):
            values[i] = float(item)
        elif not isinstance(item, kind) or (isinstance(item, bool) and kind is not bool):
            raise BindplugError(f"{where}: {name} is {item!r}; give {_KINDS[kind]}")
    return tuple(values) if many else values[0]


def read_settings(flags: dict, config: str | None = None, preset: str | None = None) -> Settings:
    """Settings from a preset, over which a TOML file goes, over which flags go.

    Args:
        flags: those that were given, by the names of `Settings`.
        config: a TOML file of the same names, with "-" or "_"; it may name a `preset`.

    Raises BindplugError: a file that is not TOML, a name that is not a setting, a value of another
    kind, or an unknown preset."""
    given: dict = {}
    if config is not None:
        try:
            table = tomllib.loads(read_text(config))
        except tomllib.TOMLDecodeError as err:
            raise BindplugError(f"{config}: is not TOML ({err})") from err
        for key, value in table.items():
            name = key.replace("-", "_")
            if name == "preset":
                preset = preset or str(value)
            elif name not in _FIELDS:
                near = difflib.get_close_matches(name, _FIELDS, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise BindplugError(f"{config}: no setting {key!r}{hint}")
            else:
                given[name] = converted(name, value, config)
    given = _over(given, flags)
    if preset:
        check_choice("preset", preset, PRESETS)
        given = _over(PRESETS[preset], _joined(PRESETS[preset], given))
    return Settings(**given)


def _over(below: dict, above: dict) -> dict:
    """Settings with others over them, which also put out what says the same in another way."""
    out = {**below, **above}
    for pair in INSTEAD:
        for one, other in (pair, pair[::-1]):
            if one in above and other not in above:
                out.pop(other, None)
    return out


def _joined(preset: dict, given: dict) -> dict:
    """Given settings, whose towers and augmentations a preset's of other modalities join."""
    out = dict(given)
    for name in ("tower", "aug"):
        if name in preset and name in given:
            own = {text.partition("=")[0] for text in given[name]}
            kept = (text for text in preset[name] if text.partition("=")[0] not in own)
            out[name] = (*kept, *given[name])
    return out


def to_toml(settings: Settings) -> str:
    """The settings that differ from their defaults, as TOML that `read_settings` takes."""
    lines = []
    for f in fields(settings):
        value = getattr(settings, f.name)
        if value != f.default:
            lines.append(f"{f.name.replace('_', '-')} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def folder_of(settings: Settings) -> Path:
    return Path(settings.logs, settings.name)
