import logging
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields

import click

from ..training.settings import Settings, flag_of, read_settings
from . import options as opt
from .output import check_json, put_json, say


class Grouped(click.Command):
    """A command whose options stand in sections of the help."""

    def format_options(self, ctx, formatter):
        section_of = {f.name: f.metadata["section"] for f in fields(Settings)}
        sections: dict[str, list] = {}
        for param in self.get_params(ctx):
            if record := param.get_help_record(ctx):
                sections.setdefault(section_of.get(param.name, "Start"), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def _settings_options(command):
    """A flag for each of the settings; None where it is not given, so that files may give it."""
    for f in reversed(fields(Settings)):
        notes, default, flag = f.metadata, f.default, flag_of(f.name)
        many = isinstance(default, tuple)
        shown = f" [{default}]" if default not in ((), "", 0, 0.0, False, True) else ""
        shown += " May be repeated." if many else ""
        kind = (int if f.name == "seeds" else str) if many else type(default)
        keywords = {"default": None, "help": notes["help"] + shown, "multiple": many}
        if kind is bool:
            flag, keywords["help"] = f"{flag}/--no-{flag[2:]}", notes["help"]
        elif notes["choices"]:
            kind = click.Choice([c for c in notes["choices"] if c])
        command = click.option(flag, f.name, type=kind, **keywords)(command)
    return command


@contextmanager
def _messages_shown() -> Iterator[None]:
    """What the library notes while it works goes to stderr, a line each."""
    log, handler = logging.getLogger("bindplug"), logging.StreamHandler()
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


@click.command(cls=Grouped)
@click.option(
    "--config", cls=opt.Once, metavar="FILE", help="TOML file of the same names; flags override it."
)
@click.option("--preset", metavar="NAME", help="paper-audio, paper-depth, paper-thermal or "
              "paper-imu: ImageBind's Table 9; --config and flags override it.")  # fmt: skip
@click.option("--resume", type=click.Choice(["latest"]), help="Continue from the checkpoint.")
@click.option("--json", "json_file", metavar="FILE|-", help="The report as JSON.")
@click.option("--overwrite", is_flag=True, help="Start over even where there is a checkpoint.")
@opt.device_option
@opt.offline_option
@_settings_options
def train(config, preset, resume, json_file, overwrite, device, **flags):
    """Bind encoders of any modality to images (ImageBind), and export an embedder.

    \b
      bindplug train --train-data pairs.csv --val-data val.csv --init small \\
        --tower audio=imagebind:width=128,depth=4,heads=4
      bindplug train --train-data pairs.csv --init imagebind-huge --tower audio=lora:r=16
      torchrun --nproc-per-node 8 -m bindplug train --preset paper-audio --init ... \\
        --train-data audioset#unbalanced_train

    The result is the folder LOGS/NAME/model: bindplug embed --model local:LOGS/NAME/model
    """
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    settings = read_settings(given, config, preset)
    check_json(json_file, overwrite, [config, *settings.train_data, *settings.val_data])
    from ..training.run import train as run

    command = shlex.join(["bindplug", *sys.argv[1:]])
    with _messages_shown():
        reports = run(settings, device, bool(resume), overwrite, command)
    for report in reports:
        if "model" in report:  # of the first process
            say(f"{report['folder']}: {report['steps']} steps, loss {report['loss']:.4f}")
            for name, figure in report["figures"].items():
                if figure["value"] is None:  # of inputs without a counterpart
                    continue
                say(
                    f"  {name}: {figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
                )
            if json_file != "-":
                click.echo(report["model"])
    if any("model" in report for report in reports):
        put_json(json_file, {"schema": 1, "runs": reports}, overwrite)
