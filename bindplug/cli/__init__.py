"""The command line. Each command is a file here, imported only when it is called."""

from importlib import import_module

import click

from .. import __version__
from .output import clear_errors

COMMANDS = {
    "demo": "Name five recordings, find them in two images and generate images, offline.",
    "detect": "Find in images what a sound, text or image means.",
    "generate": "Generate images of what a sound, text or image means.",
    "embed": "Write embeddings of files of any modality to a file.",
    "classify": "Classify files, by labels or by a few examples.",
    "search": "Search a folder's files by sound, text, image or a mixture.",
    "serve": "Answer requests over HTTP, with a page to try it on.",
    "train": "Bind encoders of any modality to images, or continue training a model.",
    "export": "Write a model's encoders as ONNX.",
    "evaluate": "Measure classification, retrieval and detection on labelled files.",
    "bridge": "Build bridges between spaces, and explain embeddings in words.",
    "models": "List, fetch, check and remove weights.",
    "plugins": "List embedders, detectors, maskers and generators.",
    "doctor": "Report what works on this machine, and why the rest does not.",
}
EXIT_CODES = {
    "0": "done",
    "1": "unexpected error; BINDPLUG_DEBUG=1 shows the traceback",
    "2": "bad input or option",
    "3": "a package, plugin or checkpoint is missing",
    "4": "embedding spaces that do not match",
    "5": "some inputs failed, the others are done (--keep-going)",
    "130": "interrupted",
    "143": "terminated",
}


class Commands(click.Group):
    def list_commands(self, ctx):
        return list(COMMANDS)

    def get_command(self, ctx, name):
        if name not in COMMANDS:
            return None
        return getattr(import_module(f"{__name__}.{name}"), name)

    def format_commands(self, ctx, formatter):
        for title, rows in (("Commands", COMMANDS), ("Exit codes", EXIT_CODES)):
            with formatter.section(title):
                formatter.write_dl(list(rows.items()))

    @clear_errors
    def invoke(self, ctx):
        return super().invoke(ctx)


@click.command(cls=Commands)
@click.version_option(__version__, prog_name="bindplug")
def main() -> None:
    """Plug ImageBind embeddings in where a text embedding used to go.

    \b
      bindplug demo
      bindplug detect --audio dog.wav image.jpg
      bindplug generate --audio rain.wav
    """
