import click

from ..errors import MissingDependency
from ..models.registry import fetched, shipped
from .options import json_flag, offline_option
from .output import put_json, say


@click.group(invoke_without_command=True)
@json_flag
@click.pass_context
def models(ctx, as_json):
    """List, fetch, check and remove weights.

    \b
      bindplug models
      bindplug models pull imagebind-huge
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_command, as_json=as_json)


@models.command("list")
@json_flag
def list_command(as_json):
    """List what is shipped, and what can be fetched."""
    found = shipped() + fetched()
    if as_json:
        return put_json("-", found)
    for row in found:
        named = row["kind"] in ("detector", "masker", "generator")
        name = f"{row['name']} {row['weights']}" if named else row["name"]
        size = "" if row["bytes"] is None else f", {row['bytes'] / 1e9:.1f} GB"
        click.echo(f"{row['kind']:<10} {name:<31} {row['state'] + size:<16} {row['about']}")


@models.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@offline_option
def pull(names):
    """Fetch checkpoints; an interrupted download is resumed."""
    from ..models.registry import find
    from ..storage.download import pull as fetch

    for checkpoint in [find(name) for name in names]:
        if not checkpoint.path.exists():
            say(f"{checkpoint.name}: licence {checkpoint.licence}")
        click.echo(fetch(checkpoint))


@models.command()
@click.argument("name")
def path(name):
    """Print where a checkpoint is."""
    from ..models.registry import find

    checkpoint = find(name)
    if not checkpoint.path.is_file():
        raise MissingDependency(f"{name} is not here; run: bindplug models pull {name}")
    click.echo(checkpoint.path)


@models.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
def verify(names):
    """Check the size and sha256 of checkpoints, and of the files split from them."""
    from ..imagebind.split import verify_parts
    from ..models.registry import catalogue, find
    from ..storage.checkpoints import verify as check

    chosen = [find(n) for n in names] or [c for c in catalogue().values() if c.path.exists()]
    for checkpoint in chosen:
        check(checkpoint, progress=True)
        parts = verify_parts(checkpoint.path)
        click.echo(f"{checkpoint.name}: whole" + (f"; split: {', '.join(parts)}" if parts else ""))


@models.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove(names):
    """Delete checkpoints and what was made from them."""
    from ..models.registry import find
    from ..storage.checkpoints import remove as delete

    for checkpoint in [find(name) for name in names]:
        say(f"{checkpoint.name}: {'removed' if delete(checkpoint) else 'was not here'}")
