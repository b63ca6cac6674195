"""What a server takes, and what it runs."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..defaults import DETECTOR, EMBEDDER, GENERATOR
from ..device import pick_device
from ..errors import BindplugError

LOCAL = ("localhost", "127.0.0.1", "[::1]")  # host names of this machine itself
NONE = "none"  # in place of a detector or generator: leave it out


@dataclass(frozen=True)
class Limits:
    """What a request may cost.

    Attributes:
        megabytes: of one request's body.
        held_megabytes: of the bodies of all requests that are being answered.
        pixels: of an image, a frame of a video or a generated image.
        seconds: of a sound or video.
        files: of one request.
        images: that one request generates, candidates counted.
        requests: that are answered or wait at the same time; more are asked to come again.
        timeout: seconds from the last byte of a request to its answer.
        upload_timeout: seconds without a byte of a request that has begun.
        keep_seconds: how long image features, prompt embeddings and results are kept.
        keep_images: how many images' features are kept.
        keep_megabytes: of results to fetch by link.
    """

    megabytes: float = 64.0
    held_megabytes: float = 512.0
    pixels: int = 50_000_000
    seconds: float = 300.0
    files: int = 64
    images: int = 64
    requests: int = 64
    timeout: float = 300.0
    upload_timeout: float = 20.0
    keep_seconds: float = 600.0
    keep_images: int = 16
    keep_megabytes: float = 256.0


@dataclass(frozen=True)
class Models:
    """What is loaded on each device, by the names that the command line takes; a detector or
    generator may be "none"."""

    model: str = EMBEDDER
    detector: str = DETECTOR[0]
    weights: str = DETECTOR[1]
    masks: str | None = None
    generator: str = GENERATOR[0]
    generator_weights: str = GENERATOR[1]
    dtype: str = "float32"
    split: bool = True
    batch_size: int | None = None  # inputs that are encoded together; None goes by the device

    def place_on(self, device: str) -> str:
        """The torch device for a `--device`; graphs of onnx: with no model beside them run on the
        CPU. Raises BindplugError: a device that is not there, or that they cannot use."""
        if self.model.startswith("onnx:") and self.detector == self.generator == NONE:
            if device not in ("auto", "cpu"):
                raise BindplugError(f"device {device!r}; onnx: runs on the CPU, choose auto or cpu")
            return "cpu"
        return pick_device(device)

    def batch_on(self, device: str) -> int:
        """Inputs that are encoded together on a torch device: a core has enough of a few."""
        return self.batch_size or (4 if device == "cpu" else 32)


@dataclass(frozen=True)
class Access:
    """Who may call.

    Attributes:
        tokens: of which a request must bear one (`Authorization: Bearer`); () lets everybody in.
        origins: web pages elsewhere whose scripts may call, as "https://example.org".
        hosts: names that the server answers to; () is all.
    """

    tokens: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    def __post_init__(self):
        check_tokens(self.tokens)


def check_tokens(tokens: Iterable[str]) -> None:
    """BindplugError for a token that is too short or that no header can bear."""
    for token in tokens:
        if not (token.isascii() and token.isprintable() and token == token.strip()):
            raise BindplugError("a token (--token, BINDPLUG_TOKEN) must be printable ASCII")
        if len(token) < 8:
            raise BindplugError("a token (--token, BINDPLUG_TOKEN) needs 8 characters or more")


class Refused(BindplugError):
    """A request that is not answered: an HTTP status and what its sender can do."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status, self.headers = status, headers or {}
