"""The command line. Each command is a file here, imported only when it is called."""

from __future__ import annotations

from importlib import import_module

import click

from .. import __version__

COMMANDS = {
    "demo": "Hear recordings, find what they mean in pictures and paint it, offline.",
    "detect": "Find in pictures what a sound, text or picture means.",
    "generate": "Paint what a sound, text or picture means.",
    "embed": "Write embeddings of files of any sense to a file.",
    "classify": "Name files, by labels or by a few examples.",
    "search": "Find a folder's files by sound, text, picture or a mixture.",
    "evaluate": "Measure naming and retrieval on labelled files.",
    "bridge": "Build bridges between spaces, and say what they hear.",
    "models": "List, fetch, check and remove weights.",
    "plugins": "List embedders, detectors and generators.",
    "doctor": "Say what works on this machine, and if not, why.",
}


class Commands(click.Group):
    def list_commands(self, ctx):
        return list(COMMANDS)

    def get_command(self, ctx, name):
        if name not in COMMANDS:
            return None
        return getattr(import_module(f"{__name__}.{name}"), name)

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=Commands)
@click.version_option(__version__, prog_name="bindplug")
def main() -> None:
    """Plug ImageBind embeddings in where a text embedding used to go.

    \b
      bindplug demo
      bindplug detect --audio dog.wav image.jpg
      bindplug generate --audio rain.wav
    """
    from ..storage.atomic import exit_on_sigterm

    exit_on_sigterm()
