from __future__ import annotations

import click

from ..models.registry import rows
from .output import put_json


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def plugins(as_json):
    """List embedders, detectors and generators, of bindplug and of other packages."""
    found = rows()
    if as_json:
        put_json("-", found, False)
        return
    for row in found:
        click.echo(
            f"{row['kind']:<10} {row['name']:<12} {row['package']:<16} "
            f"{row['error'] or row['about']}"
        )
