import click

from ..models.registry import rows
from .options import json_flag
from .output import put_json


@click.command()
@json_flag
def plugins(as_json):
    """List embedders, detectors, maskers and generators, of bindplug and of other packages."""
    found = rows()
    if as_json:
        return put_json("-", found)
    for row in found:
        names = f"{row['kind']:<10} {row['name']:<12} {row['package']:<16}"
        click.echo(f"{names} {row['error'] or row['about']}")
