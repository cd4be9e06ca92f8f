"""Secrets that are found wherever they get out: random texts, and all that a program wrote or answered."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote


class Seeds:
    """Secrets by name, and the places in which none of them may be."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._places: dict[str, list[bytes]] = {}

    def make(self, name: str, form: str = "{}") -> str:
        """A new secret; what surrounds it is in `form`."""
        value = self._values[name] = f"Seed{secrets.token_hex(12)}"
        return form.replace("{}", value)

    def short(self, name: str) -> str:
        """A new secret that is too short for any setting."""
        value = self._values[name] = f"zQ{secrets.token_hex(2)}"
        return value

    def whsec(self, name: str) -> str:
        """A new secret that signs."""
        value = self._values[name] = base64.b64encode(f"Seed{secrets.token_hex(13)}".encode()).decode().rstrip("=")
        return f"whsec_{value}"

    def add(self, name: str, secret: str) -> None:
        """A secret that a program made."""
        self._values[name] = secret.removeprefix("whsec_")

    def saw(self, place: str, *texts: str | bytes) -> None:
        """Something that a program wrote or answered."""
        found = self._places.setdefault(place, [])
        found += [text.encode(errors="surrogateescape") if isinstance(text, str) else text for text in texts]

    def saw_files(self, place: str, paths: Iterable[Path]) -> None:
        """Files that a program wrote."""
        self.saw(place, *(path.read_bytes() for path in paths if path.is_file()))

    def hits(self) -> list[str]:
        """Each secret that is where it may not be, as it is or encoded, with what is before it there."""
        found = []
        for place, texts in self._places.items():
            for name, value in self._values.items():
                raw = value.encode()
                forms = {raw, base64.b64encode(raw).rstrip(b"="), quote(value, safe="").encode(), raw.hex().encode()}
                where = [text[: text.find(form)][-80:] for text in texts for form in forms if form in text]
                if where:
                    found.append(f"{name} is in {place}, {len(where)} times, as after {where[0]!r}")
        return found

    def figures(self) -> dict[str, object]:
        """How many secrets there are, and the bytes of each place."""
        return {
            "secrets": len(self._values),
            "bytes": {place: sum(map(len, texts)) for place, texts in self._places.items()},
        }
