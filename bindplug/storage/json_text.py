"""JSON as others can read it."""

import json
import math


def to_json(data, indent: int | None = None) -> str:
    """JSON text; NaN and infinite numbers, which JSON does not have, are null."""
    try:
        return json.dumps(data, indent=indent, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(data), indent=indent)


def _finite(data):
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
