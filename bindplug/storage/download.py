"""Download of checkpoint files over HTTP: resumed, retried with pauses, checked by sha256.

Beside a checkpoint FILE lie, while it is being downloaded, `FILE.part` (its first bytes),
`FILE.part.json` (the URL and the ETag or Last-Modified that these bytes came with) and `FILE.lock`;
afterwards, where nobody published a sha256, `FILE.sha256` (that of the first download).
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
from email.utils import mktime_tz, parsedate_tz
from pathlib import Path
from time import sleep, time

from ..errors import BindplugError
from .atomic import write_json
from .cache_dir import is_offline
from .checkpoints import Checkpoint, _is_whole, expected_sha256, record_sha256, sha256_file
from .hashing import BLOCK, _bar, hash_file

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES}
TRIES = 5  # consecutive connections without a new byte before giving up
LONGEST_PAUSE = 60.0  # seconds between two connections, whatever Retry-After asks for


def pull(checkpoint: Checkpoint, progress: bool = True) -> Path:
    """Path of a checkpoint file, downloaded first if it is absent or of another size.

    An interrupted download continues where it stopped, provided the server still has the same
    file (If-Range). Several processes may call this at once: one downloads, the others wait. The
    file appears under its name only when size and sha256 are right; where nobody published a
    sha256, that of the first complete download on this machine is recorded and compared.

    Args:
        progress: show a progress bar (only on a terminal).

    Raises:
        BindplugError: offline, too little disk space, no connection, or another file than
            published or first downloaded.
    """
    path = checkpoint.path
    if _is_whole(checkpoint):
        return path
    if is_offline():
        raise BindplugError(
            f"{checkpoint.name} is not here ({path}) and bindplug is offline; "
            f"run once with a connection: bindplug models pull {checkpoint.name}"
        )
    from filelock import FileLock

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(path.name + ".lock")):
            if not _is_whole(checkpoint):
                _fetch(checkpoint, path.with_name(path.name + ".part"), progress)
    except OSError as err:
        raise BindplugError(
            f"{path}: cannot be written ({err.strerror or err}); free some room, or set "
            "BINDPLUG_HOME to another folder; what was fetched is kept"
        ) from err
    return path


def _fetch(checkpoint: Checkpoint, part: Path, progress: bool) -> None:
    """Complete `part`, check its sha256, and rename it to the checkpoint's path."""
    total, expected = checkpoint.bytes, expected_sha256(checkpoint)
    have = part.stat().st_size if part.exists() else 0
    if total is not None and have > total:
        part.unlink()
        have = 0
    if total is not None:
        _need_room(checkpoint, total - have, part.parent)
    with _bar(total, checkpoint.name, progress, have) as bar:
        _Download(checkpoint, part, bar).run()
    found = hash_file(part, progress)
    _validator_file(part).unlink(missing_ok=True)
    if expected and found != expected:
        part.unlink()
        if checkpoint.sha256:
            raise BindplugError(
                f"{checkpoint.url}: sent other bytes than published (sha256 differs), so they "
                "were thrown away; try again, and if it stays so, get the file elsewhere and use "
                "local:PATH"
            )
        record = sha256_file(checkpoint)
        raise BindplugError(
            f"{checkpoint.url}: is another file than first downloaded (sha256 {found}, the first "
            f"is in {record}), so it was thrown away; if you trust the new one, delete {record} "
            f"and run: bindplug models pull {checkpoint.name}"
        )
    if not expected:
        record_sha256(checkpoint, found)
    os.replace(part, checkpoint.path)


def _need_room(checkpoint: Checkpoint, count: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < count:
        raise BindplugError(
            f"{checkpoint.name} needs {_gb(count)} more in {folder}, {_gb(free)} are free; "
            "free some, or set BINDPLUG_HOME to another disk"
        )


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _validator(headers) -> str | None:
    """What If-Range may send for an answer: its strong ETag, else its Last-Modified (RFC 9110)."""
    etag = headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")


def _retry_after(headers) -> float | None:
    """Seconds that Retry-After asks for (a number or a date); None if absent or unreadable."""
    value = (headers.get("Retry-After") or "").strip()
    try:
        return float(value) if value.isdecimal() else mktime_tz(parsedate_tz(value)) - time()
    except (TypeError, ValueError, OverflowError):
        return None


class _Retry(ConnectionError):
    """A connection that failed and may be tried again, after `pause` seconds if the server said."""

    def __init__(self, reason: str, pause: float | None = None):
        super().__init__(reason)
        self.pause = pause


class _Download:
    """Appends to `part` until it is complete, over as many connections as that takes."""

    def __init__(self, checkpoint: Checkpoint, part: Path, bar):
        self.checkpoint, self.part, self.bar = checkpoint, part, bar
        self.total = checkpoint.bytes  # else what the server announces

    def run(self) -> None:
        """Connect until `part` is complete.

        After a connection that failed, waits for 2^n seconds times a random 0.5 to 1, n being the
        connections so far that brought nothing; or as long as Retry-After says, up to a minute.
        """
        tries = 0
        while self._size() != self.total:
            before, error = self._size(), None
            try:
                self.receive(before)
            except (OSError, ValueError, EOFError) as err:  # urllib's and http.client's kinds
                if getattr(err, "errno", None) in DISK_ERRORS:
                    raise
                error = err
            tries = 0 if self._size() > before else tries + 1
            if self._size() == self.total:
                return
            if tries == TRIES:
                reason = str(error or "connection cut") or type(error).__name__
                raise BindplugError(
                    f"{self.checkpoint.url}: cannot be fetched ({reason}); what came is kept, "
                    "run the same command again to go on"
                )
            pause = getattr(error, "pause", None)
            if pause is None:
                pause = 2**tries * random.uniform(0.5, 1)
            sleep(min(max(pause, 0.0), LONGEST_PAUSE))

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _recorded_validator(self) -> str | None:
        """The validator that `part` came with, None if unknown or of another URL."""
        try:
            record = json.loads(_validator_file(self.part).read_text("utf-8"))
            return record["validator"] if record["url"] == self.checkpoint.url else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _start_anew(self, validator: str | None) -> None:
        """Drop what came so far, and record the validator of the bytes that will come."""
        self.part.unlink(missing_ok=True)
        _validator_file(self.part).unlink(missing_ok=True)
        if validator:
            record = {"url": self.checkpoint.url, "validator": validator}
            write_json(_validator_file(self.part), record)

    def receive(self, have: int) -> None:
        """One request for the bytes from `have` on; from the start where they may not match.

        Without a recorded validator only a published sha256 can tell a mixture of two releases,
        so without either the download starts anew.
        """
        from http.client import HTTPException
        from urllib.error import HTTPError
        from urllib.request import Request, urlopen

        url, validator = self.checkpoint.url, self._recorded_validator()
        headers = {"User-Agent": "bindplug", "Accept-Encoding": "identity"}
        if have and (validator or self.checkpoint.sha256):
            headers["Range"] = f"bytes={have}-"
            if validator:
                headers["If-Range"] = validator
        try:
            with urlopen(Request(url, headers=headers), timeout=60) as answer:
                found = _validator(answer.headers)
                if answer.status == 206:
                    place = answer.headers.get("Content-Range", f"bytes {have}-")
                    other = validator and found not in (None, validator)
                    if other or not place.startswith(f"bytes {have}-"):
                        self._start_anew(None)
                        raise _Retry("the server sent a part of another file")
                else:  # the whole file: another release, or ranges are not supported
                    have, self.total = 0, self.checkpoint.bytes
                    self.bar.reset(self.total)
                self._look_at(answer.headers.get("Content-Length"), have)
                if not have:
                    self._start_anew(found)
                with self.part.open("r+b" if have else "wb") as file:
                    file.seek(have)
                    while block := answer.read(min(BLOCK, self.total - have)):
                        file.write(block)
                        have += len(block)
                        self.bar.update(len(block))
        except HTTPError as err:
            if err.code == 416:  # nothing past here: what we have cannot be its beginning
                self._start_anew(None)
            if err.code < 500 and err.code not in (408, 416, 429):
                raise BindplugError(
                    f"{url}: answers {err.code} {err.reason}; "
                    "get the file elsewhere and use local:PATH"
                ) from err
            raise _Retry(f"{err.code} {err.reason}", _retry_after(err.headers)) from err
        except HTTPException as err:
            raise _Retry(f"connection cut: {type(err).__name__}") from err

    def _look_at(self, length: str | None, have: int) -> None:
        """Compare the length that the server announces with the one published."""
        if length is None:
            if self.total is None:
                raise BindplugError(f"{self.checkpoint.url}: does not say how long it is")
            return
        offered = int(length) + have
        if self.total is None:
            self.total = self.bar.total = offered
            _need_room(self.checkpoint, int(length), self.part.parent)
        if offered != self.total:
            raise BindplugError(
                f"{self.checkpoint.url}: offers {offered} bytes, {self.total} were published; "
                "it is another file, get the right one and use local:PATH"
            )


def _gb(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
