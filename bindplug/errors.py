"""What bindplug raises for a mistake that its user can mend."""


class BindplugError(Exception):
    """Bad input: the message is one line that names the thing and the mend."""

    exit_code = 2


class SpaceMismatch(BindplugError):
    """Two embeddings, or an embedding and a host, of different spaces."""


class MissingDependency(BindplugError):
    """A package, plugin or checkpoint that is not there."""
