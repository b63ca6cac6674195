"""Results that are files: kept for a while to be fetched by link, or inside the answer."""

import base64
import io
import secrets
from typing import NamedTuple
from urllib.parse import quote

from .kept import Kept
from .settings import Limits


class File(NamedTuple):
    data: bytes
    kind: str  # media type
    name: str


class Results:
    """Files by secret names."""

    def __init__(self, limits: Limits):
        self.files = Kept(limits.keep_seconds, limits.keep_megabytes * 1e6, lambda f: len(f.data))

    def link(self, data: bytes, kind: str, name: str, inline: bool = False) -> str:
        """A link to the file, relative to the server; or a data URL."""
        if inline:
            return f"data:{kind};base64,{base64.b64encode(data).decode()}"
        secret = secrets.token_urlsafe(16)
        self.files.put(secret, File(data, kind, name))
        return f"/v1/files/{secret}/{quote(name)}"


def png(image) -> bytes:
    """A PIL image as a PNG file."""
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()
