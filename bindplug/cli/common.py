"""What several commands share: options, prompts, and errors as one line."""

from __future__ import annotations

import functools
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.core import ParameterSource

from ..errors import BindplugError

OUTPUT = "bindplug-out"


def say(text: str) -> None:
    """Talk goes to stderr; stdout is for data."""
    click.echo(text, err=True)


def clear_errors(command: Callable) -> Callable:
    """End with one line and exit code 2 on bad input; BINDPLUG_DEBUG=1 shows the traceback."""

    @functools.wraps(command)
    def wrapped(*args, **kwargs):
        warnings.filterwarnings("ignore")  # third parties' chatter is not for users
        try:
            return command(*args, **kwargs)
        except BindplugError as err:
            if os.environ.get("BINDPLUG_DEBUG"):
                raise
            say(f"Error: {err}")
            sys.exit(err.exit_code)

    return wrapped


def options(*decorators: Callable) -> Callable:
    def apply(command: Callable) -> Callable:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return apply


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
        flags = {f"--{sense}": sense for sense in FLAGS if sense in own}
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


def prompts_of(senses: Iterable[str], mixed: bool = True) -> Callable:
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

        for sense in reversed(list(senses)):
            metavar = "TEXT" if sense == "text" else "FILE"
            wrapped = click.option(
                f"--{sense}", multiple=True, metavar=metavar, expose_value=False,
                help=f"{FLAGS[sense]} May be repeated.",
            )(wrapped)  # fmt: skip
        return wrapped

    return apply


mix_option = click.option(  # for --help alone: PromptCommand has taken the numbers out
    "--weights", metavar="W W ...", expose_value=False, help="Of the prompts in a mixture."
)
prompt_options = prompts_of(FLAGS, mixed=False)


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
sense_option = click.option(
    "--option", "sense_options", multiple=True, metavar="NAME=VALUE",
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


class Failures:
    """Inputs that could not be used: each is said at once, and the exit code tells of them.

    Args:
        keep_going: say them again at the end, where nobody overlooks them, and exit with 5.
    """

    def __init__(self, keep_going: bool = False):
        self.count, self.keep_going, self.messages = 0, keep_going, []

    def guard(self, work: Callable, *args, **kwargs):
        """The result of `work`, or None where its input was bad."""
        try:
            return work(*args, **kwargs)
        except BindplugError as err:
            self.add(err)
            return None

    def add(self, message) -> None:
        """Say one."""
        say(f"Error: {message}")
        self.count += 1
        if self.keep_going:
            self.messages.append(str(message))

    def add_all(self, messages: Iterable) -> None:
        for message in messages:
            self.add(message)

    def finish(self) -> None:
        if not self.count:
            return
        if self.keep_going:
            say(f"{self.count} could not be done:")
            for message in self.messages:
                say(f"  {message}")
            sys.exit(KEPT_GOING)
        sys.exit(BindplugError.exit_code)


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
    from ..embedding import compose

    if mix and len(mix) != len(prompts):
        raise BindplugError(f"{len(mix)} weights for {len(prompts)} prompts; give one for each")
    parts = [embedder.embed(**{kind: value}) for kind, value in prompts]
    return compose(list(zip(parts, mix or [1.0] * len(parts), strict=True)))


def open_embedder(model, device, dtype, batch_size, num_workers, compile, cache):
    """The embedder that the options name; an option that nobody gave is left to the plugin."""
    from ..cache import Cache
    from ..plugins import load_embedder

    given = click.get_current_context().get_parameter_source
    settings = {"dtype": dtype, "batch_size": batch_size, "num_workers": num_workers,
                "compile": compile, "cache": cache}  # fmt: skip
    settings = {k: v for k, v in settings.items() if given(k) is not ParameterSource.DEFAULT}
    if "num_workers" in settings:
        settings["workers"] = settings.pop("num_workers")
    if "cache" in settings:
        settings["cache"] = Cache(cache)
    return load_embedder(model, device, **settings)


def read_options(pairs: Iterable[str], senses: Iterable[str]) -> dict:
    """NAME=VALUE of `--option` to a dictionary; numbers and true or false are taken as such.

    Raises:
        BindplugError: no "=", or a name that none of the senses has.
    """
    from ..senses import SENSES

    out, senses = {}, sorted(set(senses))
    known = {name for sense in senses for name in SENSES[sense].options}
    for pair in pairs:
        name, given, value = pair.partition("=")
        name = name.strip().replace("-", "_")
        if not given or name not in known:
            raise BindplugError(
                f"option {pair!r}; {', '.join(senses)} has: {', '.join(sorted(known)) or 'none'}, "
                "each as NAME=VALUE"
            )
        try:
            out[name] = json.loads(value)
        except ValueError:
            out[name] = value
    return out


def embed_prompts(embedder, failures: Failures, prompts: list[tuple[str, str]]):
    """All prompts that can be read, as one Embedding; where none can, the process ends."""
    from ..embedding import concatenate

    parts = [failures.guard(embedder.embed, **{kind: value}) for kind, value in prompts]
    parts = [p for p in parts if p is not None]
    if not parts:
        failures.finish()
    return concatenate(parts)


def unique_stems(paths: Iterable[str]) -> list[str]:
    """File names without endings, numbered where they would collide."""
    seen: dict[str, int] = {}
    out = []
    for path in paths:
        stem = Path(path).stem or "image"
        seen[stem] = seen.get(stem, 0) + 1
        out.append(stem if seen[stem] == 1 else f"{stem}_{seen[stem]}")
    return out


class JsonStream:
    """A JSON document with one long list, written entry by entry: to a temporary file that is
    renamed when all is there, or to stdout for "-".

    Args:
        target: a path or "-".
        name: of the list in the document; None makes the list the document.
    """

    def __init__(self, target: str, name: str | None, overwrite: bool):
        from ..results import make_folder, refuse_existing

        self.target, self.name, self.count = target, name, 0
        if target == "-":
            self.file = click.get_text_stream("stdout")
            return
        self.path = Path(target)
        make_folder(self.path.parent)
        refuse_existing([self.path], overwrite)
        self.file = tempfile.NamedTemporaryFile(  # noqa: SIM115
            "w", dir=self.path.parent, prefix=".", suffix=".part", delete=False
        )

    def add(self, entry: dict, head: dict) -> None:
        """One entry; the first also writes the document's head."""
        self.file.write(", " if self.count else self._opening(head))
        self.file.write(json.dumps(entry))
        self.count += 1

    def close(self, head: dict) -> None:
        if not self.count:
            self.file.write(self._opening(head))
        self.file.write("]}\n" if self.name else "]\n")
        if self.target != "-":
            self.file.close()
            os.chmod(self.file.name, 0o644)
            os.replace(self.file.name, self.path)

    def discard(self) -> None:
        """Leave nothing, after an error."""
        if self.target != "-" and not self.file.closed:
            self.file.close()
            os.unlink(self.file.name)

    def _opening(self, head: dict) -> str:
        if self.name is None:
            return "["
        return json.dumps(head)[:-1] + f', "{self.name}": ['


def put_json(target: str | None, data, overwrite: bool) -> None:
    """Write JSON to a file, or to stdout for "-"; None does nothing."""
    if target is None:
        return
    if target == "-":
        click.echo(json.dumps(data))
        return
    from ..results import make_folder, refuse_existing, write_json

    path = Path(target)
    make_folder(path.parent)
    refuse_existing([path], overwrite)
    write_json(path, data)
