"""What several commands share: options, prompts, and errors as one line."""

from __future__ import annotations

import functools
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import click

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


prompt_options = options(
    click.option("--audio", multiple=True, metavar="FILE", help="Sound; may be repeated."),
    click.option("--text", multiple=True, metavar="TEXT", help="Text; may be repeated."),
    click.option("--image", multiple=True, metavar="FILE", help="Picture; may be repeated."),
)
model_option = click.option(
    "--model", default="tiny", show_default=True, help="Embedder: a name, or local:PATH."
)
device_option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps."
)
output_options = options(
    click.option("-o", "--output", default=OUTPUT, show_default=True, metavar="DIR"),
    click.option("--overwrite", is_flag=True, help="Replace files that exist."),
)


class Failures:
    """Inputs that could not be used: each is said at once, and the exit code tells of them."""

    def __init__(self):
        self.count = 0

    def guard(self, work: Callable, *args, **kwargs):
        """The result of `work`, or None where its input was bad."""
        try:
            return work(*args, **kwargs)
        except BindplugError as err:
            say(f"Error: {err}")
            self.count += 1
            return None

    def finish(self) -> None:
        if self.count:
            sys.exit(BindplugError.exit_code)


def list_prompts(**prompts: Iterable[str]) -> list[tuple[str, str]]:
    """(modality, value) of every prompt.

    Raises:
        BindplugError: there is none.
    """
    given = [(kind, value) for kind, values in prompts.items() for value in values]
    if not given:
        raise BindplugError("give a prompt: --audio FILE, --text TEXT or --image FILE")
    return given


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
