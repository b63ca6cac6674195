"""The fields of requests: under the command line's names, in multipart and in JSON alike."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ..embedding.modalities import MODALITIES
from ..errors import BindplugError
from .settings import Limits
from .uploads import SENT, Sent, Upload, decode_file

BOOLEANS = {"true": True, "1": True, "yes": True, "on": True,
            "false": False, "0": False, "no": False, "off": False, "": False}  # fmt: skip
TEXT = 10_000  # characters of a text


def check_text(name: str, text: str) -> str:
    """A text as it is. Raises BindplugError: it is too long."""
    if len(text) > TEXT:
        raise BindplugError(f"{name}: a text of {len(text)} characters; give {TEXT} or fewer")
    return text


@dataclass(frozen=True)
class Field:
    """One field.

    Attributes:
        kind: "file"; "image" (a file, or "sha256:" and the hash of one that was sent before);
            "text"; "word" (a text of one line); "whole"; "number"; "numbers" (one value may hold
            several, "0.7,0.3"); "switch"; or "words" (a text or a file, for lists).
        many: whether it may be repeated.
        prompt: it is an input of the modality that it is called after.
        least, most: bounds of a number, both included.
    """

    name: str
    kind: str
    help: str
    many: bool = False
    default: object = None
    least: float = -math.inf
    most: float = math.inf
    choices: tuple[str, ...] = ()
    example: object = None
    prompt: bool = False

    def read(self, value, index: int = 0):
        """One value as it was sent, as what it means; BindplugError for something else."""
        if self.kind == "image" and isinstance(value, str) and (found := SENT.fullmatch(value)):
            return Sent(found[1])
        if self.kind in ("file", "image"):
            return value if isinstance(value, Upload) else decode_file(self.name, value, index)
        if self.kind == "words" and isinstance(value, (Upload, dict)):
            file = value if isinstance(value, Upload) else decode_file(self.name, value, index)
            try:
                return file.getvalue().decode("utf-8-sig").splitlines()
            except UnicodeDecodeError as err:
                raise BindplugError(f"{self.name}: {file.name} is not UTF-8 text") from err
        if isinstance(value, Upload):
            raise BindplugError(f"{self.name}: takes a value, not a file")
        if self.kind == "switch":
            known = value if isinstance(value, bool) else BOOLEANS.get(str(value).lower())
            if known is None:
                raise self._wrong(value, "true or false")
            return known
        if self.kind in ("whole", "number"):
            return self._number(value)
        if self.kind == "numbers":
            parts = value.split(",") if isinstance(value, str) else [value]
            return [self._number(part) for part in parts]
        if not isinstance(value, str):
            raise self._wrong(value, "a text")
        if "\0" in value or (self.kind == "word" and len(value.splitlines()) > 1):
            raise self._wrong(value[:50], "one line of text")
        if self.choices and value not in self.choices:
            raise self._wrong(value, ", ".join(self.choices))
        # A list of words may be longer; it is checked word by word.
        return value if self.kind == "words" else check_text(self.name, value)

    def _number(self, value):
        whole = self.kind == "whole"
        try:
            if isinstance(value, bool) or (whole and isinstance(value, float)):
                raise ValueError
            number = int(value) if whole else float(value)
        except (TypeError, ValueError, OverflowError) as err:
            raise self._wrong(value, "a whole number" if whole else "a number") from err
        if not (self.least <= number <= self.most and (whole or math.isfinite(number))):
            low, high = (f"{v:g}" for v in (self.least, self.most))
            raise self._wrong(value, f"a number from {low} to {high}")
        return number

    def _wrong(self, value, wanted: str) -> BindplugError:
        return BindplugError(f"{self.name} {str(value)[:50]!r}; give {wanted}")


class Form:
    """The fields of one request, read by a table; files in base64 are decoded.

    Attributes:
        prompts: (modality, Upload or text) in the order in which they were sent.

    Raises BindplugError: an unknown field, one that is repeated and may not be, a bad value, a text
    that is too long, or more files than `limits.files`, in whichever way they were sent."""

    def __init__(self, table: Iterable[Field], pairs: Iterable[tuple[str, object]], limits: Limits):
        self._table = {field.name: field for field in table}
        self._values: dict[str, list] = {}
        self.prompts: list[tuple[str, object]] = []
        files = 0
        for name, value in pairs:
            name = name.replace("-", "_")
            if name not in self._table:
                known = ", ".join(self._table)
                raise BindplugError(f"no field {name[:50]!r}; there are: {known}")
            field, values = self._table[name], self._values.setdefault(name, [])
            if field.name == "option" and isinstance(value, dict):
                values += [field.read(f"{key}={_plain(one)}") for key, one in value.items()]
                continue
            read = field.read(value, len(values))
            files += isinstance(read, (Upload, Sent)) or isinstance(value, (Upload, dict))
            if files > limits.files:
                raise BindplugError(f"too many files; send {limits.files} or fewer")
            if field.kind in ("numbers", "words") and isinstance(read, list):
                values += read
            elif values and not field.many:
                raise BindplugError(f"{name}: may be given once")
            else:
                values.append(read)
            if field.prompt:
                self.prompts.append((name, read))

    def __getitem__(self, name: str):
        """The value of a field, a list where it may be repeated, else its default."""
        field, values = self._table[name], self._values.get(name, [])
        if field.many:
            return values
        return values[0] if values else field.default

    def given(self, name: str) -> bool:
        return name in self._values

    def values(self, names: Iterable[str]) -> dict:
        return {name: self[name] for name in names}


def _plain(value) -> str:
    """A JSON value as NAME=VALUE writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def prompt_fields(modalities: Iterable[str]) -> list[Field]:
    """A field of each modality."""
    kinds = {name: "text" if name == "text" else "file" for name in modalities}
    return [
        Field(name, kind, MODALITIES[name].help, many=True, prompt=True)
        for name, kind in kinds.items()
    ]


OPTION = Field("option", "word", "How inputs are read, NAME=VALUE (JSON: also an object).",
               many=True, example="clips=all")  # fmt: skip
RATE = Field("rate", "number", "Hz of sounds, videos and motion sent as .npy.", least=1, most=1e7)
MIX = Field("mix", "numbers", "Add the prompts up, each times its weight.", many=True,
            example="0.7,0.3")  # fmt: skip
VOCABULARY = Field("vocabulary", "words", "Words of the bridge and the competition: default, "
                   "sounding, lvis, imagenet-1k, imagenet-21k, or your own, repeated or as a file "
                   "of lines.", many=True)  # fmt: skip
INLINE = Field("inline", "switch", "Images in the answer itself, as data URLs, in place of links.",
               default=False)  # fmt: skip


def top_k(default: int | None, help: str) -> Field:
    return Field("top_k", "whole", help, default=default, least=1, most=10_000)
