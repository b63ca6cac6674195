"""Request bodies for the OpenAPI document, from the table of fields."""

import math
from collections.abc import Iterable

from .fields import Field

TYPES = {"whole": "integer", "number": "number", "switch": "boolean", "numbers": "number"}
BASE64 = {"type": "string", "contentEncoding": "base64"}
NAMED = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "data": BASE64},
    "required": ["data"],
}


def describe_body(table: Iterable[Field]) -> dict:
    """The `requestBody` of an operation, as multipart and as JSON, with examples."""
    table = list(table)
    form = {field.name: _schema(field, json=False) for field in table}
    data = {field.name: _schema(field, json=True) for field in table}
    files = [f.name for f in table if f.kind in ("file", "image")]
    example = {f.name: f.example for f in table if f.example is not None}
    example |= {"audio": {"name": "dog.wav", "data": "UklGRg=="}} if "audio" in files else {}
    example |= {"images": "sha256:" + "0" * 64} if "images" in files else {}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": _object(form)},
                "application/json": {"schema": _object(data), "example": example},
            },
        }
    }


def _object(properties: dict) -> dict:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _schema(field: Field, json: bool) -> dict:
    if field.kind in ("file", "image"):
        one = {"anyOf": [BASE64, NAMED]} if json else {"type": "string", "format": "binary"}
    elif field.name == "option" and json:
        one = {"anyOf": [{"type": "string"}, {"type": "object"}]}
    else:
        one = {"type": TYPES.get(field.kind, "string")}
        one |= {"enum": list(field.choices)} if field.choices else {}
        one |= {"minimum": field.least} if math.isfinite(field.least) else {}
        one |= {"maximum": field.most} if math.isfinite(field.most) else {}
    if field.many:
        one = {"type": "array", "items": one}
        one = {"anyOf": [one["items"], one]} if json else one
    one |= {"description": field.help}
    if field.default is not None:
        one |= {"default": field.default}
    if field.example is not None and not field.many:
        one |= {"example": field.example}
    return one
