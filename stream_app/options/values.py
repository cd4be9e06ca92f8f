"""What the models of all options share."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode

FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def decoded(value: object) -> object:
    """Decodes a table or a list from a variable, which holds it as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("should be JSON") from None


def share(value: object) -> object:
    """Reads a share that is written as a number, or in per cent, such as `5%`."""
    if not isinstance(value, str):
        return value
    number = value.strip().removesuffix("%")
    try:
        return float(number) / 100 if "%" in value else float(number)
    except ValueError:
        raise ValueError("expected a share, such as 0.05 or 5%") from None


#: The type of a table or a list, unpacked into `Annotated`.
TABLE = (NoDecode, BeforeValidator(decoded))

#: The type of a share.
Share = Annotated[float, BeforeValidator(share)]

Group = Literal["ingest", "analysis", "preprocess", "tune", "train", "validate", "deploy", "run", "custom"]

TopicName = Annotated[str, Field(pattern="^[A-Za-z0-9._-]{1,200}$")]
