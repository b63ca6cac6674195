"""Options that several commands share, and how their values are read."""

import math
import os
from collections.abc import Callable, Iterable
from functools import reduce

import click
from click.core import ParameterSource

from ..defaults import EMBEDDER
from ..embedding.modalities import MODALITIES
from ..errors import BindplugError, check_choice

OUTPUT = "bindplug-out"


class Once(click.Option):
    """An option that names an input and is refused when it is given twice: click itself would
    take the last and drop the others."""

    def __init__(self, *args, **settings):
        super().__init__(*args, multiple=True, **settings)

    def process_value(self, ctx, value):
        values = super().process_value(ctx, value) or ()
        if len(values) > 1:
            raise BindplugError(f"{self.opts[0]} is given {len(values)} times; give it once")
        return values[0] if values else None


def options(*decorators: Callable) -> Callable:
    """One decorator for several; their options stand in the help in this order."""
    return lambda command: reduce(lambda inner, add: add(inner), reversed(decorators), command)


def finite(ctx, param, value):
    """For an option with a range, which NaN and infinity pass."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number", ctx, param)
    return value


def a_modality(ctx, param, value):
    if value is not None:
        check_choice("modality", value, MODALITIES)
    return value


def _go_offline(ctx, param, value):
    """Forbid the network to this process, before any library is imported."""
    if value:
        os.environ["BINDPLUG_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"


def _check_templates(ctx, param, templates):
    for template in templates:
        if "{}" not in template:
            raise BindplugError(
                f'--template {template!r}: a template needs "{{}}" for the name, such as "a {{}}"'
            )
    return templates


json_flag = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
device_option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps."
)
dtype_option = click.option(
    "--dtype", default="float32", show_default=True, help="float32, bfloat16 or float16."
)
offline_option = click.option(
    "--offline", is_flag=True, callback=_go_offline, expose_value=False, help="Use no network."
)
model_option = options(
    click.option("--model", default=EMBEDDER, show_default=True,
                 help="Embedder: a name, local:PATH, hf:ORG/REPO or onnx:FOLDER."),
    click.option(
        "--split/--no-split", default=True, help="Split a local: ImageBind checkpoint into one "
        "file per modality, which later uses read faster, or read it as it is.",
    ),
    offline_option,
)  # fmt: skip
transform_option = click.option(
    "--option", "transform_options", multiple=True, metavar="NAME=VALUE",
    help="How inputs are read: clips=all, upright=true, truncation=old, unit=sunrgbd, rate=200, "
    "... May be repeated.",
)  # fmt: skip
embedder_options = options(  # the command gets them as keywords of `open_embedder`
    transform_option,
    model_option,
    dtype_option,
    click.option("--batch-size", default=16, show_default=True, type=click.IntRange(1)),
    click.option("--num-workers", default=2, show_default=True, type=click.IntRange(1)),
    click.option("--compile", is_flag=True, help="Use torch.compile; slow to start."),
    click.option("--cache", metavar="FILE", help="Keep embeddings in this file and look them up "
                 "there."),
    device_option,
)  # fmt: skip
template_option = click.option(
    "--template", "templates", multiple=True, callback=_check_templates, metavar="TEXT",
    help='Wording of a name, such as "a {}"; by default those that the model was trained on. May '
    "be repeated.",
)  # fmt: skip
json_options = options(
    click.option("--json", "json_file", metavar="FILE|-", help="Results as JSON."),
    click.option("--overwrite", is_flag=True, help="Replace files that exist."),
)
output_options = options(
    click.option("-o", "--output", default=OUTPUT, show_default=True, metavar="DIR"),
    click.option("--overwrite", is_flag=True, help="Replace files that exist."),
)


def modality_option(help: str, default: str | None = None) -> Callable:
    """`--modality`, also under its earlier name `--sense`."""
    return click.option(
        "--modality", "--sense", metavar="MODALITY", callback=a_modality, default=default,
        show_default=default is not None, help=help,
    )  # fmt: skip


def top_k_option(default: int) -> Callable:
    return click.option("--top-k", default=default, show_default=True, type=click.IntRange(1))


def is_given(name: str) -> bool:
    """Whether the user gave this option of the running command."""
    return click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT


def refuse_given(why: str, names: Iterable[str]) -> None:
    """Refuse parameters of the running command by name; `why` is what makes them useless."""
    for param in click.get_current_context().command.params:
        if param.name in names and is_given(param.name):
            flags = "/".join([*param.opts, *param.secondary_opts])
            raise BindplugError(f"{why}; leave out {flags}")


def embedder_settings(model: str, split: bool, **speed) -> dict:
    """Settings of `load_embedder` by the values of `embedder_options`; what nobody gave is left to
    the plugin."""
    from ..cache import Cache

    settings = {k: v for k, v in speed.items() if is_given(k)}
    if "num_workers" in settings:
        settings["workers"] = settings.pop("num_workers")
    if "cache" in settings:
        settings["cache"] = Cache(settings["cache"])
    if not split:
        if not model.startswith("local:"):
            raise BindplugError(f"--no-split is for --model local:PATH, not for {model!r}")
        settings["split"] = False
    return settings


def open_embedder(model: str, device: str, **settings):
    """The embedder that the options name; see `embedder_settings`."""
    from ..models.load import load_embedder

    return load_embedder(model, device, **embedder_settings(model, **settings))
