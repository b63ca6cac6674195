"""The installed plugins, and the weights that they ship, download or find on a hub."""

import logging
import os
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points

from ..errors import BindplugError, MissingDependency
from ..plugins import Plugin
from ..storage.checkpoints import Checkpoint

log = logging.getLogger("bindplug")

GROUPS = tuple(f"bindplug.{kind}s" for kind in ("embedder", "detector", "masker", "generator"))


def discover(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group by name; BINDPLUG_PLUGINS (names, comma-separated) restricts them."""
    allowed = os.environ.get("BINDPLUG_PLUGINS")
    chosen = None if allowed is None else {n.strip() for n in allowed.split(",")}
    found = sorted(entry_points(group=group), key=lambda e: e.name)
    return {e.name: e for e in found if chosen is None or e.name in chosen}


def kind_of(group: str) -> str:
    """embedder, detector, masker or generator."""
    return group.removeprefix("bindplug.").removesuffix("s")


def plugin(group: str, name: str) -> Plugin:
    """Load one plugin's description.
    Raises BindplugError: no plugin of that name; MissingDependency: it is there and cannot be
    imported."""
    found, kind = discover(group), kind_of(group)
    if name not in found:
        known = ", ".join(found) or "none is installed"
        raise BindplugError(f"no {kind} {name!r}; there are: {known}")
    try:
        return found[name].load()
    except Exception as err:  # whatever a third party's import raises
        raise MissingDependency(f"{kind} {name!r} cannot be loaded: {err}") from err


def plugins_of(group: str) -> Iterator[tuple[str, Plugin]]:
    """The plugins of a group by name; one that cannot be imported is warned about and skipped."""
    for name in discover(group):
        try:
            yield name, plugin(group, name)
        except MissingDependency as err:
            log.warning("%s", err)


def catalogue() -> dict[str, Checkpoint]:
    """The checkpoints of all plugins, by name."""
    found = [entry for group in GROUPS for _, entry in plugins_of(group)]
    return {c.name: c for entry in found for c in entry.checkpoints}


def find(name: str) -> Checkpoint:
    """A checkpoint of the catalogue; BindplugError where there is none of that name."""
    known = catalogue()
    if name not in known:
        raise BindplugError(f"no checkpoint {name!r}; there are: {', '.join(known) or 'none'}")
    return known[name]


def rows() -> list[dict]:
    """Every plugin: its group, name, package, and why it does not load if it does not."""
    out = []
    for group in GROUPS:
        for name, entry in discover(group).items():
            about, error = "", None
            try:
                about = plugin(group, name).description
            except BindplugError as err:
                error = str(err)
            package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else ""
            out.append({"kind": kind_of(group), "name": name, "package": package,
                        "about": about, "error": error})  # fmt: skip
    return out


def shipped() -> list[dict]:
    """Weights that come with the plugins, and those that a library downloads for them."""
    out = []
    for group in GROUPS:
        for name, entry in plugins_of(group):
            row = {"kind": kind_of(group), "name": name, "about": entry.description, "bytes": None}
            own = (name,) if entry.space and not (entry.checkpoints or entry.hub) else ()
            for weights in entry.weights or own:  # an embedder is its own weights
                out.append({**row, "weights": weights, "state": "shipped"})
            out += ({**row, "weights": weights, "state": "hub"} for weights in entry.hub)
    return out


def fetched() -> list[dict]:
    """Checkpoints of the catalogue, here or not."""
    return [
        {"kind": "checkpoint", "name": c.name, "weights": c.file, "bytes": c.bytes,
         "about": f"{c.gives}; licence: {c.licence}", "url": c.url, "sha256": c.sha256,
         "path": str(c.path), "state": "here" if c.path.is_file() else "not here"}
        for c in catalogue().values()
    ]  # fmt: skip
