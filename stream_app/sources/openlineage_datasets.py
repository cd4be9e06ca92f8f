"""The artifacts that datasets of OpenLineage are: by each of their names, with and without their version.

Decoding knows one event, and a dataset may have other names, or no version, in other events. So that they meet:

- an event reads and writes a dataset under its own name and under each that its `symlinks` facet gives;
- names are written in one way: `s3a://bucket/` is `s3://bucket`, and slashes at the end do not count;
- a writer with a version writes `name@version` and `name`; a writer that is COMPLETE without a version writes `name`
  and `name@`;
- a reader with a version reads `name@version` and `name@`; a reader without a version reads `name`.

`name` and `name@` have no versions: a reader reads the output of the last writer. So a reader without a version reads
what was written last; a reader with a version reads that version, and what was written last by a writer that tells
none.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from stream_app.core.events import ArtifactRef, Properties
from stream_app.errors import MalformedEvent
from stream_app.sources.native import (
    MAX_ARTIFACTS,
    MAX_ID,
    MAX_NUMBER,
    check_id,
    check_properties,
    properties_of,
    wrong,
)
from stream_app.sources.openlineage_facets import FacetReader, JsonObject
from stream_app.sources.openlineage_rules import Rules
from stream_app.sources.openlineage_runs import text_of
from stream_app.sources.strict_json import shown

#: The facet of this project (schemas/openlineage).
ARTIFACT_FACET = "streamApp_artifact"
#: Names of a dataset that are read besides its own.
_SYMLINKS = 16
#: The artifact type of a dataset for which no rule holds.
_DATASET = "Dataset"

#: Schemes of one store -> the one that is used.
_SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss", "wasb": "abfss", "wasbs": "abfss"}
#: Schemes whose names are keys of an object store, where a slash at the beginning does not count.
_OBJECT_STORES = frozenset(("s3", "gs", "abfss"))
#: Namespaces of paths, which are also written as a URI.
_PATHS = frozenset(("file", "dbfs"))


@lru_cache(maxsize=10_000)
def dataset_id(namespace: str, name: str) -> str:
    """The id of a dataset without its version.

    Parameters
    ----------
    namespace, name
        As an event gives them.

    Returns
    -------
    str
        Both, written in one way. An `@` in it is `%40`, since `@` begins the version.

    Examples
    --------
    >>> dataset_id("s3a://bucket/", "/models/a/"), dataset_id("file:///", "file:/tmp/a")
    ('s3://bucket/models/a', 'file//tmp/a')
    """
    namespace, scheme = _normal(namespace)
    name, _ = _normal(name)
    if scheme in _OBJECT_STORES:
        name = name.removeprefix(namespace + "/").lstrip("/")
    elif namespace in _PATHS and (scheme or name.startswith(namespace + ":")):
        name = "/" + name.removeprefix(namespace + ":").lstrip("/")
    return f"{namespace}/{name}".replace("@", "%40")


def _normal(text: str) -> tuple[str, str]:
    """A text without slashes at its end and with the usual scheme, and the scheme."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        bare = text.rstrip("/") or "/"
        return (bare[:-1], "") if bare[:-1] in _PATHS and bare[-1] == ":" else (bare, "")
    lower = scheme.lower()
    if lower in _PATHS and not rest.strip("/"):
        return lower, lower
    if lower in _PATHS and rest[0] == "/":
        return f"{lower}:/{rest.strip('/')}", ""
    if lower.startswith("wasb"):
        rest = rest.replace(".blob.core.", ".dfs.core.", 1)
    scheme = _SCHEMES.get(lower, lower)
    return f"{scheme}://{rest.rstrip('/')}", scheme


class DatasetReader:
    """Reads the datasets of one event.

    Parameters
    ----------
    rules
        The rules that tell artifact types.
    reading
        Reads facets.
    is_complete
        Whether the event says that its run is COMPLETE, so that a version would be known by now.
    """

    def __init__(self, rules: Rules, reading: FacetReader, is_complete: bool) -> None:
        self._rules = rules
        self._reading = reading
        self._is_complete = is_complete

    def artifacts(self, document: JsonObject, field: str, properties: Properties) -> tuple[ArtifactRef, ...]:
        """The artifacts in a list of datasets.

        Parameters
        ----------
        document
            The event.
        field
            `inputs` or `outputs`.
        properties
            Of the execution; statistics of inputs are added to it.

        Returns
        -------
        tuple of ArtifactRef
            The artifacts.

        Raises
        ------
        MalformedEvent
            The list, a name or a facet of this project is not valid.
        """
        entries = document.get(field)
        if entries is None:
            return ()
        if type(entries) is not list:
            raise wrong(document, field, "a list of datasets")
        if len(entries) > MAX_ARTIFACTS:
            raise MalformedEvent(f"{field}: expected at most {MAX_ARTIFACTS:,} datasets, got {len(entries):,}")
        artifacts: dict[str, ArtifactRef] = {}
        for index, entry in enumerate(entries):
            if entry is None:
                continue
            if type(entry) is not dict:
                raise MalformedEvent(f"{field}[{index}]: expected an object, got {shown(entry)}")
            for artifact in self._dataset(entry, field, f"{field}[{index}].", properties):
                known = artifacts.setdefault(artifact.id, artifact)
                if known is not artifact:
                    known.properties.update(artifact.properties)
        if len(artifacts) > MAX_ARTIFACTS:
            raise MalformedEvent(f"{field}: expected at most {MAX_ARTIFACTS:,} names, got {len(artifacts):,}")
        return tuple(artifacts.values())

    def _dataset(self, entry: JsonObject, field: str, prefix: str, properties: Properties) -> Iterator[ArtifactRef]:
        """A dataset under each of its names; its properties are those of the first."""
        reading = self._reading
        namespace, name = text_of(entry, "namespace", prefix), text_of(entry, "name", prefix)
        facets = reading.facet(entry, "facets")
        own: Properties = {}
        given = _describe(own, facets, prefix) if ARTIFACT_FACET in facets else None
        self._check_quality(facets, own)
        statistics = reading.facet(entry, "inputFacets" if field == "inputs" else "outputFacets")
        if statistics:
            self._measure(statistics, own, properties)
            self._check_quality(statistics, own)
        version = self._version(facets, prefix) if "version" in facets else ""
        names = [(namespace, name)]
        if "symlinks" in facets:
            names += self._symlinks(facets)
        types = [self._rules.artifact_type(*each) for each in names]
        known = next((each for each in types if each != _DATASET), _DATASET)
        for each, type_ in zip(names, types, strict=True):
            kind = given or (type_ if type_ != _DATASET else known)
            for artifact in self._versions(dataset_id(*each), version, field, kind):
                if len(artifact.id) > MAX_ID:
                    if each != names[0]:
                        reading.dropped += 1
                        continue
                    raise wrong(entry, "name", f"at most {MAX_ID:,} characters with namespace and version", prefix)
                artifact.properties, own = own, {}
                yield artifact

    def _versions(self, name: str, version: str, field: str, kind: str) -> list[ArtifactRef]:
        """The artifacts of one name."""
        if field == "inputs":
            ids = [(f"{name}@{version}", True), (f"{name}@", False)] if version else [(name, False)]
        elif version:
            ids = [(f"{name}@{version}", True), (name, False)]
        else:
            ids = [(name, False), (f"{name}@", False)] if self._is_complete else [(name, False)]
        return [ArtifactRef(id_, kind, {}, is_versioned) for id_, is_versioned in ids]

    def _version(self, facets: JsonObject, prefix: str) -> str:
        facet = self._reading.facet(facets, "version")
        version = facet.get("datasetVersion")
        text = str(version) if type(version) is int else self._reading.text(facet, "datasetVersion")
        if text:
            check_id(f"{prefix}facets.version.datasetVersion", text)
        return text

    def _symlinks(self, facets: JsonObject) -> list[tuple[str, str]]:
        found = []
        for each in self._reading.entries(self._reading.facet(facets, "symlinks"), "identifiers", _SYMLINKS):
            try:
                found.append((text_of(each, "namespace", ""), text_of(each, "name", "")))
            except MalformedEvent:
                self._reading.dropped += 1
        return found

    def _measure(self, facets: JsonObject, own: Properties, properties: Properties) -> None:
        """Adds statistics: of outputs to the artifact, of inputs to the execution."""
        reading = self._reading
        self._add(own, reading.facet(facets, "outputStatistics"), rowCount="rows", size="bytes", fileCount="files")
        read: Properties = {}
        self._add(
            read,
            reading.facet(facets, "inputStatistics"),
            rowCount="rows_read",
            size="bytes_read",
            fileCount="files_read",
        )
        for key, value in read.items():
            properties[key] = min(MAX_NUMBER, float(properties.get(key, 0)) + float(value))

    def _add(self, properties: Properties, facet: JsonObject, **names: str) -> None:
        """Adds the numbers of a facet under names of this project."""
        for key, name in names.items():
            value = facet.get(key)
            if (type(value) is int or type(value) is float) and 0 <= value <= MAX_NUMBER:
                properties[name] = value
            elif value is not None:
                self._reading.dropped += 1

    def _check_quality(self, facets: JsonObject, own: Properties) -> None:
        """Adds what is known of a dataset's quality to its artifact."""
        reading = self._reading
        if "dataQualityMetrics" in facets:
            metrics = reading.facet(facets, "dataQualityMetrics")
            self._add(own, metrics, rowCount="rows", bytes="bytes", fileCount="files")
        if "dataQualityAssertions" in facets:
            assertions = reading.facet(facets, "dataQualityAssertions")
            if type(assertions.get("assertions")) is list:
                checks = reading.entries(assertions, "assertions", MAX_ARTIFACTS)
                own["assertions_failed"] = sum(1 for each in checks if each.get("success") is False)


def _describe(own: Properties, facets: JsonObject, prefix: str) -> str | None:
    """Reads this project's facet: adds its properties, and returns the artifact type if it tells one."""
    facet = facets.get(ARTIFACT_FACET)
    if type(facet) is not dict:
        return None
    path = f"{prefix}facets.{ARTIFACT_FACET}."
    if facet.get("properties") is not None:
        own.update(own_properties(facet, path))
    for key in ("blessed", "pushed"):
        if facet.get(key) is not None:
            if type(facet[key]) is not bool:
                raise wrong(facet, key, "true or false", path)
            own[key] = facet[key]
    if facet.get("span") is not None:
        span = facet["span"]
        own["span"] = span if type(span) is int else text_of(facet, "span", path)
    return text_of(facet, "type", path) if facet.get("type") is not None else None


def own_properties(facet: JsonObject, prefix: str) -> Properties:
    """The properties in a facet of this project.

    Parameters
    ----------
    facet
        The facet.
    prefix
        Its path, for the reason.

    Returns
    -------
    dict
        The properties.

    Raises
    ------
    MalformedEvent
        A property is not valid.
    """
    properties = dict(properties_of(facet, prefix))
    check_properties(f"{prefix}properties", properties)
    return properties
