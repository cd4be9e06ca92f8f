"""Reads the facets of OpenLineage: what has another form than the specification's is passed over and counted."""

from __future__ import annotations

from typing import Any

JsonObject = dict[str, Any]
_NOTHING: JsonObject = {}


class FacetReader:
    """Reads parts of one message that must not cost the event; `dropped` is the number of those passed over."""

    def __init__(self) -> None:
        self.dropped = 0

    def facet(self, facets: JsonObject, name: str) -> JsonObject:
        """A facet, or another object in an object.

        Parameters
        ----------
        facets
            What holds it.
        name
            Its key.

        Returns
        -------
        dict
            Empty when it is missing, null or not an object.
        """
        value = facets.get(name)
        if type(value) is dict:
            return value
        if value is not None:
            self.dropped += 1
        return _NOTHING

    def text(self, facet: JsonObject, key: str) -> str:
        """A text in a facet.

        Parameters
        ----------
        facet
            The facet.
        key
            The field.

        Returns
        -------
        str
            "" when it is missing, null or not a text.
        """
        value = facet.get(key)
        if type(value) is str:
            return value
        if value is not None:
            self.dropped += 1
        return ""

    def entries(self, facet: JsonObject, key: str, most: int) -> list[JsonObject]:
        """The objects in a list in a facet.

        Parameters
        ----------
        facet
            The facet.
        key
            The field.
        most
            Number of entries that are read.

        Returns
        -------
        list of dict
            Without those that are not objects.
        """
        value = facet.get(key)
        if value is None:
            return []
        if type(value) is not list:
            self.dropped += 1
            return []
        found = [each for each in value[:most] if type(each) is dict]
        self.dropped += len(value) - len(found)
        return found
