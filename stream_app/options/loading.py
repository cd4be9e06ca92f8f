"""Options: one TOML file, then `STREAM_APP_*` variables, then flags, each overriding the one before.

An option is `section.key`; its variable is `STREAM_APP_SECTION_KEY`, which holds JSON where the option is a table. An
unknown key is an error. Nothing else in the project reads the environment, and no module below the commands uses
`Options`: they take plain values.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from stream_app.errors import OptionsError
from stream_app.options.acting import ActingOptions
from stream_app.options.alerts import AlertOptions
from stream_app.options.detector import DetectorOptions, OperatorOptions, RateOptions
from stream_app.options.owners import OwnersOptions
from stream_app.options.services import KafkaOptions, QueriesOptions, ServeOptions
from stream_app.options.sources import MlflowOptions, MlmdOptions, OpenLineageOptions, SourceOptions
from stream_app.options.values import FROZEN
from stream_app.runtime.files import check_secret_file, read_secret_file
from stream_app.sources.strict_json import shown

_PREFIX = "STREAM_APP_"


class Options(BaseModel):
    """All options. The constructor takes defaults and its arguments only; `load` reads file and environment."""

    model_config = FROZEN

    operators: OperatorOptions = OperatorOptions()
    detector: DetectorOptions = DetectorOptions()
    rates: RateOptions = RateOptions()
    owners: OwnersOptions = OwnersOptions()
    sources: SourceOptions = SourceOptions()
    mlmd: MlmdOptions = MlmdOptions()
    mlflow: MlflowOptions = MlflowOptions()
    openlineage: OpenLineageOptions = OpenLineageOptions()
    serve: ServeOptions = ServeOptions()
    alerts: AlertOptions = AlertOptions()
    acting: ActingOptions = ActingOptions()
    kafka: KafkaOptions = KafkaOptions()
    queries: QueriesOptions = QueriesOptions()


class _Variables(Options, BaseSettings):
    """The same options as variables name them."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter="_", env_nested_max_split=1)


def load(path: Path | None = None, flags: Mapping[str, object] | None = None) -> Options:
    """Reads the options of a file, the environment, and flags.

    Parameters
    ----------
    path
        The TOML file, or None.
    flags
        Options by name, such as `{"detector.mode": "enforce"}`; an option with the value None is not set.

    Returns
    -------
    Options
        The options, checked.

    Raises
    ------
    OptionsError
        With one line that names the place, the key and what is expected there.
    """
    values: dict[str, dict[str, Any]] = {}
    places: dict[str, str] = {}
    for name, place, value in [*_from_file(path), *_from_environment(), *_from_flags(flags or {})]:
        section, key = name.split(".", 1)
        values.setdefault(section, {})[key] = value
        places[name] = place
    try:
        return Options.model_validate(values)
    except ValidationError as error:
        raise OptionsError(_first_line(error, places)) from None


def read_secret(value: SecretStr | None, file: Path | None, name: str) -> str | None:
    """Reads a secret that is given as it is, or in a file.

    Parameters
    ----------
    value
        The secret, or None.
    file
        A file that holds the secret, or None; a line break at its end is removed.
    name
        The name of the option, for messages.

    Returns
    -------
    str or None
        None when neither is given.

    Raises
    ------
    OptionsError
        Both are given, or the file cannot be read, or others can write to it. The message never holds the secret.
    """
    if file is None:
        return None if value is None else value.get_secret_value()
    if value is not None:
        raise OptionsError(f"{name} is given both as it is and as a file; give one")
    try:
        return read_secret_file(file).decode().rstrip("\r\n")
    except OptionsError as error:
        raise OptionsError(f"{name}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionsError(f"{name}: cannot read {file}: {reason}") from None


_KNOWN = [
    f"{section}.{key}" for section, field in Options.model_fields.items() for key in type(field.default).model_fields
]

#: Options whose values no message repeats.
_SECRET = {
    "alerts.key", "alerts.mail_password", "alerts.slack_signing_secret", "alerts.slack_token",
    "kafka.checkpoint_key", "kafka.password", "queries.token", "serve.mlflow_webhook_secret", "serve.token",
}  # fmt: skip
#: Variables that commands read that ask the service: its address and a token.
_CLIENT = {f"{_PREFIX}URL", f"{_PREFIX}TOKEN"}

#: The name of an option, where it was set, and its value.
_Setting = tuple[str, str, Any]


def _from_file(path: Path | None) -> list[_Setting]:
    if path is None:
        return []
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionsError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path}: not TOML: {error}") from None
    settings = []
    for section, table in document.items():
        if section == "owners" and isinstance(table, list):
            table = {"rules": table}  # [[owners]], as in a file of owners
        if section not in Options.model_fields or not isinstance(table, dict):
            inner = next(iter(table)) if isinstance(table, dict) and table else None
            raise OptionsError(_unknown(f"{path}: ", f"{section}.{inner}" if inner else section))
        for key, value in table.items():
            if f"{section}.{key}" not in _KNOWN:
                raise OptionsError(_unknown(f"{path}: ", f"{section}.{key}"))
            if f"{section}.{key}" in _SECRET:
                check_secret_file(path)
            settings.append((f"{section}.{key}", f"{path}: {section}.{key}", value))
    return settings


def _from_environment() -> list[_Setting]:
    variables = {f"{_PREFIX}{name.replace('.', '_')}".upper(): name for name in _KNOWN}
    for variable in sorted(os.environ):
        name = variable.upper()
        if name.startswith(_PREFIX) and name not in variables and name not in _CLIENT:
            closest = difflib.get_close_matches(variable.upper(), variables, 1, cutoff=0)[0]
            raise OptionsError(f"{variable}: unknown variable, the closest known one is {closest}")
    names = {name: variable for variable, name in variables.items()}
    return [
        (f"{section}.{key}", names[f"{section}.{key}"], value)
        for section, table in EnvSettingsSource(_Variables)().items()
        for key, value in table.items()
    ]


def _from_flags(flags: Mapping[str, object]) -> list[_Setting]:
    for name in flags:
        if name not in _KNOWN:
            raise OptionsError(_unknown("flags: ", name))
    return [(name, f"flag {name}", value) for name, value in flags.items() if value is not None]


def _unknown(place: str, name: str) -> str:
    closest = difflib.get_close_matches(name, _KNOWN, 1, cutoff=0)[0]
    return f"{place}unknown key {shown(name)[1:-1]}, the closest known one is {closest}"


def _first_line(error: ValidationError, places: Mapping[str, str]) -> str:
    """The first error, on one line, and where the value was set."""
    fault = error.errors()[0]
    steps = [str(step) for step in fault["loc"]]
    name = ".".join(steps[:2])
    inner = "".join(f".{step}" for step in steps[2:])
    if name not in places:  # a fault between options of a section, at least one of which was set
        name = next(known for known in places if known.startswith(f"{name}.") and known.split(".")[1] in fault["msg"])
    message = fault["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    got = f", got {shown(fault['input'])}" if len(steps) > 1 and name not in _SECRET else ""
    return f"{places[name]}{shown(inner)[1:-1]}: {message[0].lower()}{message[1:]}{got}"
