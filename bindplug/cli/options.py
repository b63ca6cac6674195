""" """

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable

import click
from click.core import ParameterSource

from ..errors import BindplugError

OUTPUT = "bindplug-out"


def options(*decorators: Callable) -> Callable:
    def apply(command: Callable) -> Callable:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return apply


class Offline(click.Option):
    """`--offline` forbids the network to this process, before any library looks."""

    def handle_parse_result(self, ctx, opts, args):
        value, args = super().handle_parse_result(ctx, opts, args)
        if value:
            os.environ["BINDPLUG_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"
        return value, args


model_option = options(
    click.option(
        "--model",
        default="tiny",
        show_default=True,
        help="Embedder: a name, local:PATH or hf:ORG/REPO.",
    ),
    click.option("--offline", cls=Offline, is_flag=True, expose_value=False, help="No network."),
)


device_option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps."
)


speed_options = options(
    click.option(
        "--dtype", default="float32", show_default=True, help="float32, bfloat16 or float16."
    ),
    click.option("--batch-size", default=16, show_default=True, type=click.IntRange(1)),
    click.option("--num-workers", default=2, show_default=True, type=click.IntRange(1)),
    click.option("--compile", is_flag=True, help="Use torch.compile; slow to start."),
    click.option(
        "--cache", metavar="FILE", help="Keep embeddings in this file and look them up there."
    ),
)


transform_option = click.option(
    "--option", "transform_options", multiple=True, metavar="NAME=VALUE",
    help="How inputs are read: clips=all, upright=true, truncation=old, unit=sunrgbd, rate=200, "
    "... May be repeated.",
)  # fmt: skip


output_options = options(
    click.option("-o", "--output", default=OUTPUT, show_default=True, metavar="DIR"),
    click.option("--overwrite", is_flag=True, help="Replace files that exist."),
)


KEPT_GOING = 5


keep_going_option = click.option(
    "--keep-going",
    is_flag=True,
    help=f"Say at the end what could not be read, and exit with {KEPT_GOING} instead of 2.",
)


def open_embedder(model, device, dtype, batch_size, num_workers, compile, cache):
    """The embedder that the options name; an option that nobody gave is left to the plugin."""
    from ..cache import Cache
    from ..models.load import load_embedder

    given = click.get_current_context().get_parameter_source
    settings = {"dtype": dtype, "batch_size": batch_size, "num_workers": num_workers,
                "compile": compile, "cache": cache}  # fmt: skip
    settings = {k: v for k, v in settings.items() if given(k) is not ParameterSource.DEFAULT}
    if "num_workers" in settings:
        settings["workers"] = settings.pop("num_workers")
    if "cache" in settings:
        settings["cache"] = Cache(cache)
    return load_embedder(model, device, **settings)


def read_options(pairs: Iterable[str], modalities: Iterable[str]) -> dict:
    """NAME=VALUE of `--option` to a dictionary; numbers and true or false are taken as such.

    Raises:
        BindplugError: no "=", or a name that none of the senses has.
    """
    from ..embedding.modalities import MODALITIES

    out, modalities = {}, sorted(set(modalities))
    known = {name for modality in modalities for name in MODALITIES[modality].options}
    for pair in pairs:
        name, given, value = pair.partition("=")
        name = name.strip().replace("-", "_")
        if not given or name not in known:
            raise BindplugError(
                f"option {pair!r}; {', '.join(modalities)} has: "
                f"{', '.join(sorted(known)) or 'none'}, each as NAME=VALUE"
            )
        try:
            out[name] = json.loads(value)
        except ValueError:
            out[name] = value
    return out
