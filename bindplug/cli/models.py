from __future__ import annotations

import click

from .common import clear_errors, put_json


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@clear_errors
def models(as_json):
    """List the weights that can be used at once; local:PATH takes any others."""
    from ..plugins import GROUPS, discover, kind_of, plugin

    found = []
    for group in GROUPS:
        for name in discover(group):
            entry = plugin(group, name)
            names = getattr(entry, "weights", (name,))  # an embedder is its own weights
            for weights in names:
                found.append(
                    {"kind": kind_of(group), "name": name, "weights": weights, "about": entry.about}
                )
    if as_json:
        put_json("-", found, False)
        return
    for row in found:
        click.echo(f"{row['kind']:<10} {row['name']:<12} {row['weights']:<12} {row['about']}")
