"""Fetching checkpoints that are not shipped, safely."""

import errno
import os
import random
import shutil
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path

from ..errors import BindplugError, MissingDependency
from .atomic import reason
from .cache_dir import is_offline
from .checkpoints import Checkpoint, hash_record, is_whole, known_hash, record_hash
from .hashing import BLOCK, hash_file, progress_bar

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES}
TRIES = 5  # connections in a row that bring nothing
LONGEST = 60  # seconds of a pause, whatever a server asks for
sleep = time.sleep


def pull(checkpoint: Checkpoint, progress: bool = True) -> Path:
    """The path of a checkpoint, fetched if it is not here.

    An interrupted download goes on where it stopped. Several processes may ask at once: one
    fetches, the others wait. The file appears under its name only when size and sha256 are right;
    where no sha256 is published, that of the first download on this machine counts.
    Raises MissingDependency: offline; BindplugError: too little disk, no connection, or not the
    file it should be."""
    path = checkpoint.path
    if is_whole(checkpoint):
        return path
    if is_offline():
        raise MissingDependency(
            f"{checkpoint.name} is not here ({path}) and bindplug is offline; "
            f"run once with a connection: bindplug models pull {checkpoint.name}"
        )
    from filelock import FileLock

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(path.name + ".lock")):
            if not is_whole(checkpoint):
                _fetch(checkpoint, path.with_name(path.name + ".part"), progress)
    except OSError as err:
        raise BindplugError(
            f"{path}: cannot be written ({reason(err)}); free some space, or set "
            "BINDPLUG_HOME to another folder; what was fetched is kept"
        ) from err
    return path


def _fetch(checkpoint: Checkpoint, part: Path, progress: bool) -> None:
    known = known_hash(checkpoint)
    with progress_bar(checkpoint.bytes, checkpoint.name, progress) as bar:
        download = _Download(checkpoint, part, bar)
        download.run()
    digest = hash_file(part, progress)
    if known and digest != known:
        download.start_anew()
        if not checkpoint.sha256:
            raise BindplugError(
                f"{checkpoint.url}: is another file than first downloaded on this machine (sha256 "
                f"{digest}), so it was discarded; if you trust it, delete "
                f"{hash_record(checkpoint)} and pull again"
            )
        raise BindplugError(
            f"{checkpoint.url}: sent other bytes than were published (sha256 differs), so they "
            "were discarded; try again, and if that does not help, get the file elsewhere and use "
            "local:PATH"
        )
    if not known:
        record_hash(checkpoint, digest)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, checkpoint.path)
    download.validator.unlink(missing_ok=True)


def _pause(tries: int, asked: str | None) -> float:
    """Seconds to wait before the next request: what Retry-After asks for (a number or a date), else
    2^tries with a jitter of a half, so that many clients do not come back together."""
    seconds = random.uniform(0.5, 1.5) * 2 ** (tries - 1) if tries else 0.0
    with suppress(TypeError, ValueError):
        if asked and asked.isdigit():
            seconds = max(seconds, float(asked))
        elif asked:
            seconds = max(seconds, parsedate_to_datetime(asked).timestamp() - time.time())
    return min(seconds, LONGEST)


def _need_room(checkpoint: Checkpoint, count: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < count:
        raise BindplugError(
            f"{checkpoint.name} needs {count / 1e9:.2f} GB more in {folder}, and {free / 1e9:.2f} "
            "GB are free; free some space, or set BINDPLUG_HOME to another disk"
        )


class _Download:
    """Appends to `part` until it is whole, over as many connections as that takes."""

    def __init__(self, checkpoint: Checkpoint, part: Path, bar):
        self.checkpoint, self.part, self.bar = checkpoint, part, bar
        self.total = checkpoint.bytes  # or what the server says, where nobody has published it
        # Of the release that `part` is the beginning of: its ETag or date.
        self.validator = part.with_name(part.name + ".etag")

    def run(self) -> None:
        have = self._size()
        if self.total is not None:
            if have > self.total:
                self.part.unlink()
                have = 0
            _need_room(self.checkpoint, self.total - have, self.part.parent)
        self.bar.initial = self.bar.n = have
        tries, why = 0, ""
        while have != self.total:
            if tries == TRIES:
                raise BindplugError(
                    f"{self.checkpoint.url}: cannot be fetched ({why}); what came is kept; "
                    "run the same command again to continue"
                )
            asked = None
            try:
                self.receive(have)
            except (OSError, ValueError, EOFError) as err:  # urllib's and http.client's kinds
                if getattr(err, "errno", None) in DISK_ERRORS:
                    raise
                why, asked = reason(err), getattr(err, "retry_after", None)
            before, have = have, self._size()
            tries = 0 if have > before else tries + 1
            if have != self.total and tries < TRIES:
                sleep(_pause(tries, asked))

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def receive(self, have: int) -> None:
        """One request for the bytes from `have` on.

        Of all bytes, where the server has another release by now, or where nothing could tell:
        neither its ETag or date was kept, nor is a sha256 published."""
        from http.client import HTTPException
        from urllib.error import HTTPError
        from urllib.request import Request, urlopen

        url = self.checkpoint.url
        headers = {"User-Agent": "bindplug", "Accept-Encoding": "identity"}
        kept = self.validator.read_text() if self.validator.exists() else None
        if have and (kept or self.checkpoint.sha256):
            headers["Range"] = f"bytes={have}-"
            if kept:  # a server with another release now sends all of it
                headers["If-Range"] = kept
        try:
            with urlopen(Request(url, headers=headers), timeout=60) as answer:
                # What If-Range may send: the strong ETag, else Last-Modified (RFC 9110).
                tag = answer.headers.get("ETag")
                if not tag or tag.startswith("W/"):
                    tag = answer.headers.get("Last-Modified")
                if answer.status != 206:  # ranges refused, or changed: from the start
                    have = 0
                    self.total = self.checkpoint.bytes
                    self.bar.reset(self.total)
                else:  # not every server heeds If-Range
                    place = answer.headers.get("Content-Range", f"bytes {have}-")
                    other = kept and tag not in (None, kept)
                    if other or not place.startswith(f"bytes {have}-"):
                        self.start_anew()
                        raise ConnectionError("the server sent a part of another file")
                self._check_length(answer.headers.get("Content-Length"), have)
                if not have:
                    self.start_anew(tag)
                with self.part.open("ab") as file:
                    while block := answer.read(min(BLOCK, self.total - have)):
                        file.write(block)
                        have += len(block)
                        self.bar.update(len(block))
        except HTTPError as err:
            if err.code == 416:  # nothing past here: what we have cannot be its beginning
                self.start_anew()
            if err.code < 500 and err.code not in (408, 416, 429):
                raise BindplugError(
                    f"{url}: answers {err.code} {err.reason}; "
                    "get the file elsewhere and use local:PATH"
                ) from err
            again = ConnectionError(f"{err.code} {err.reason}")
            again.retry_after = err.headers.get("Retry-After")
            raise again from err
        except HTTPException as err:
            raise ConnectionError(f"connection cut: {type(err).__name__}") from err

    def start_anew(self, tag: str | None = None) -> None:
        """Drop what came so far, and only then keep the tag of what will come."""
        self.part.unlink(missing_ok=True)
        self.validator.unlink(missing_ok=True)
        if tag:
            self.validator.write_text(tag)

    def _check_length(self, length: str | None, have: int) -> None:
        """Compare the length that the server announces with the one published."""
        if length is None:
            if self.total is None:
                raise BindplugError(
                    f"{self.checkpoint.url}: its server does not say how long it is"
                )
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
