from __future__ import annotations

import click

from .common import clear_errors, put_json


def rows() -> list[dict]:
    """Every plugin: its group, name, package, and why it does not load if it does not."""
    from ..errors import BindplugError
    from ..plugins import GROUPS, discover, kind_of, plugin

    out = []
    for group in GROUPS:
        for name, entry in discover(group).items():
            row = {
                "kind": kind_of(group),
                "name": name,
                "package": f"{entry.dist.name} {entry.dist.version}" if entry.dist else "",
                "about": "",
                "error": None,
            }
            try:
                row["about"] = plugin(group, name).about
            except BindplugError as err:
                row["error"] = str(err)
            out.append(row)
    return out


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@clear_errors
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
