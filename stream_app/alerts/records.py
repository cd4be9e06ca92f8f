"""The records that subscriptions hear of: those of flags and those of findings, which share what delivery needs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from stream_app.alerts.findings import FindingRecord, finding_from_dict, finding_to_dict
from stream_app.alerts.flags import FlagRecord, flag_from_dict, flag_to_dict
from stream_app.times import time_to_text

#: A change of a flag or of a finding. Both have `id`, `subject`, `revision`, `change`, `pipeline`, `owner`, `labels`,
#: `raised_ms`, `time_ms` and `is_end`.
AlertRecord = FlagRecord | FindingRecord
#: The source of all CloudEvents of this project, and how their types begin.
SOURCE, TYPE = "stream-app", "stream_app"


class EventType(StrEnum):
    """What a subscription may hear of: changes of flags, and those of findings."""

    RAISED = "raised"
    REVISED = "revised"
    REMINDED = "reminded"
    DUE = "due"
    WITHDRAWN = "withdrawn"
    RESOLVED = "resolved"
    FINDING_RAISED = "finding.raised"
    FINDING_REVISED = "finding.revised"
    FINDING_RESOLVED = "finding.resolved"

    @property
    def of_findings(self) -> bool:
        """Whether it is about findings."""
        return self.startswith("finding.")


FLAG_TYPES = tuple(each for each in EventType if not each.of_findings)
#: What a subscription hears of that names no types: `due` is for whoever stops runs.
DEFAULT_TYPES = tuple(each for each in FLAG_TYPES if each is not EventType.DUE)
FINDING_TYPES = tuple(each for each in EventType if each.of_findings)


def type_of(record: AlertRecord) -> EventType:
    """What a record is, for those who choose."""
    return EventType(f"finding.{record.change}" if isinstance(record, FindingRecord) else record.change)


def noun_of(record: AlertRecord) -> str:
    """What a record is about: `finding` or `flag`."""
    return "finding" if isinstance(record, FindingRecord) else "flag"


def record_to_dict(record: AlertRecord) -> dict[str, Any]:
    """A record in its JSON form."""
    return finding_to_dict(record) if isinstance(record, FindingRecord) else flag_to_dict(record)


def record_from_dict(data: Mapping[str, Any]) -> AlertRecord:
    """Reads a record; see `flag_from_dict` and `finding_from_dict`."""
    return finding_from_dict(data) if "finding" in data else flag_from_dict(data)


def cloud_event(record: AlertRecord) -> dict[str, Any]:
    """A record as a CloudEvents 1.0 event in structured JSON; `source` and `id` identify it."""
    return {
        "specversion": "1.0",
        "id": record.id,
        "source": SOURCE,
        "type": f"{TYPE}.{noun_of(record)}.{record.change.value}",
        "subject": record.subject,
        "time": time_to_text(record.time_ms),
        "datacontenttype": "application/json",
        "data": record_to_dict(record),
    }
