"""Prompt flags of the command line, one for each modality, in the order given, and `--mix`."""

import functools
import math
from collections.abc import Callable, Iterable

import click

from ..embedding.modalities import MODALITIES, embed_one
from ..errors import BindplugError
from .output import Failures

PROMPTS = "bindplug.prompts"  # in click's `Context.meta`


class PromptOption(click.Option):
    """A flag of a modality: each use appends (modality, value) to the context's one list, so that
    the order of prompts of several modalities is kept."""

    def add_to_parser(self, parser, ctx):
        super().add_to_parser(parser, ctx)
        prompts = ctx.meta.setdefault(PROMPTS, [])
        option = parser._long_opt[f"--{self.name}"]
        process = option.process

        def process_in_order(value, state):
            prompts.append((self.name, value))
            process(value, state)

        option.process = process_in_order


def _old_mixture(given: str) -> BindplugError:
    return BindplugError(
        f"--weights {given}: --weights names a checkpoint; mix the prompts with --mix 0.7,0.3"
    )


def _refuse_weights(ctx, param, value):
    if value is not None:
        raise _old_mixture(value)


def _numbers(text: str) -> list[float]:
    """Comma-separated numbers; [] where one is none."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        return []


def _weights(ctx, param, values) -> list[float]:
    for value in values:
        if not (numbers := _numbers(value)) or not all(map(math.isfinite, numbers)):
            raise BindplugError(f"--mix {value}: give a number for each prompt, as --mix 0.7,0.3")
    return [number for value in values for number in _numbers(value)]


class MixOption(click.Option):
    """`--mix`; it also answers the mixtures that `--weights` took in earlier versions."""

    def handle_parse_result(self, ctx, opts, args):
        given = opts.get("weights")
        if isinstance(given, str) and _numbers(given.partition(",")[0]):
            raise _old_mixture(given)
        return super().handle_parse_result(ctx, opts, args)


def prompts_of(modalities: Iterable[str], mixed: bool = True) -> Callable:
    """Flags of modalities; the command gets `prompts`, a list of (modality, value) in order, and
    where they can be `mixed`, `mix`, the list of the numbers of `--mix`."""

    def apply(command: Callable) -> Callable:
        @functools.wraps(command)
        def wrapped(*args, **kwargs):
            prompts = click.get_current_context().meta[PROMPTS]
            return command(*args, prompts=prompts, **kwargs)

        if mixed:
            wrapped = click.option(
                "--mix", cls=MixOption, callback=_weights, multiple=True, metavar="W,W,...",
                help="Add the prompts up into one, each times its weight, such as 0.7,0.3.",
            )(wrapped)  # fmt: skip
        for modality in reversed(list(modalities)):
            metavar = "TEXT" if modality == "text" else "FILE"
            wrapped = click.option(
                f"--{modality}", cls=PromptOption, multiple=True, metavar=metavar,
                expose_value=False, help=f"{MODALITIES[modality].help} May be repeated.",
            )(wrapped)  # fmt: skip
        return wrapped

    return apply


prompt_options = prompts_of(MODALITIES, mixed=False)
no_weights_option = click.option(  # of commands that load no target model
    "--weights", hidden=True, expose_value=False, callback=_refuse_weights
)


def need_prompts(prompts: list[tuple[str, str]]) -> None:
    if not prompts:
        raise BindplugError("give a prompt: --audio FILE, --text TEXT, --image FILE, ...")


def embed_prompts(embedder, failures: Failures, prompts: list[tuple[str, str]], options: dict):
    """All prompts that can be read, a row each; where none can, the command ends."""
    from ..embedding.vectors import concatenate

    parts = [failures.guard(embed_one, embedder, *prompt, options) for prompt in prompts]
    parts = [part for part in parts if part is not None]
    if not parts:
        failures.finish()
    return concatenate(parts)


def prompt_files(prompts: list[tuple[str, str]]) -> list[str]:
    """The values that are no texts."""
    return [value for modality, value in prompts if modality != "text"]
