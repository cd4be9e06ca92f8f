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


#: The type of a table or a list, unpacked into `Annotated`.
TABLE = (NoDecode, BeforeValidator(decoded))

Group = Literal["ingest", "analysis", "preprocess", "tune", "train", "validate", "deploy", "run", "custom"]

TopicName = Annotated[str, Field(pattern="^[A-Za-z0-9._-]{1,200}$")]
