""" """

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import click

from ..errors import BindplugError
from .output import Failures

FLAGS = {
    "audio": "Sound, or a video's.",
    "text": "Text.",
    "image": "Picture.",
    "video": "Video.",
    "depth": "Depth picture or .npy.",
    "thermal": "Thermal picture or .npy.",
    "imu": "IMU recording, CSV.",
}


class PromptCommand(click.Command):
    """A command that knows in which order prompts of several senses were given, and that takes
    numbers after `--weights` as the prompts' weights in a mixture; a name stays a name."""

    def parse_args(self, ctx, args):
        own = {p.name for p in self.params if not p.expose_value}  # those of `prompts_of`
        flags = {f"--{modality}": modality for modality in FLAGS if modality in own}
        prompts, mix, out, queue = [], [], [], list(args)
        while queue:
            arg = queue.pop(0)
            if arg == "--":
                out += [arg, *queue]
                break
            flag, given, value = arg.partition("=")
            if arg == "--weights" and queue and _is_number(queue[0]):
                while queue and _is_number(queue[0]):
                    mix.append(float(queue.pop(0)))
                continue
            out.append(arg)
            if flag in flags and (given or queue):
                if not given:
                    value = queue.pop(0)
                    out.append(value)
                prompts.append((flags[flag], value))
        ctx.meta["bindplug.prompts"], ctx.meta["bindplug.mix"] = prompts, mix
        return super().parse_args(ctx, out)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def prompts_of(modalities: Iterable[str], mixed: bool = True) -> Callable:
    """Flags of senses; the command gets `prompts`, a list of (sense, value) in order, and where
    they can be `mixed`, `mix`, the numbers of `--weights`."""

    def apply(command: Callable) -> Callable:
        @functools.wraps(command)
        def wrapped(*args, **kwargs):
            meta = click.get_current_context().meta
            prompts, mix = meta["bindplug.prompts"], meta["bindplug.mix"]
            if mix and not mixed:
                raise click.UsageError("this command does not mix its prompts: no --weights")
            if mixed:
                kwargs["mix"] = mix
            return command(*args, prompts=prompts, **kwargs)

        for modality in reversed(list(modalities)):
            metavar = "TEXT" if modality == "text" else "FILE"
            wrapped = click.option(
                f"--{modality}", multiple=True, metavar=metavar, expose_value=False,
                help=f"{FLAGS[modality]} May be repeated.",
            )(wrapped)  # fmt: skip
        return wrapped

    return apply


mix_option = click.option(  # for --help alone: PromptCommand has taken the numbers out
    "--weights", metavar="W W ...", expose_value=False, help="Of the prompts in a mixture."
)


prompt_options = prompts_of(FLAGS, mixed=False)


def need_prompts(prompts: list[tuple[str, str]]) -> None:
    """
    Raises:
        BindplugError: there is none.
    """
    if not prompts:
        raise BindplugError("give a prompt: --audio FILE, --text TEXT, --image FILE, ...")


def mix_prompts(embedder, prompts: list[tuple[str, str]], mix: list[float]):
    """One Embedding of all prompts, by the paper's arithmetic; without weights, equal ones.

    Raises:
        BindplugError: not one weight for each prompt, or a prompt that cannot be read.
    """
    from ..embedding.vectors import compose

    if mix and len(mix) != len(prompts):
        raise BindplugError(f"{len(mix)} weights for {len(prompts)} prompts; give one for each")
    parts = [embedder.embed(**{kind: value}) for kind, value in prompts]
    return compose(list(zip(parts, mix or [1.0] * len(parts), strict=True)))


def embed_prompts(embedder, failures: Failures, prompts: list[tuple[str, str]]):
    """All prompts that can be read, as one Embedding; where none can, the process ends."""
    from ..embedding.vectors import concatenate

    parts = [failures.guard(embedder.embed, **{kind: value}) for kind, value in prompts]
    parts = [p for p in parts if p is not None]
    if not parts:
        failures.finish()
    return concatenate(parts)
