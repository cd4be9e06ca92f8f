"""Who owns a pipeline, and how to reach them, for what events do not tell. Values and look-up; no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class OwnerRule:
    """The owner of some pipelines. All conditions that are given must hold; at least one is.

    Parameters
    ----------
    owner
        The owner's name, as it stands in the property `owner` of events.
    pipeline
        Condition on the pipeline's name, with the wildcards of `fnmatch` and case-sensitive; None: any.
    labels
        Condition on the pipeline's properties: name to value.
    team, address
        The team, and an e-mail address, a Slack channel or the like; "" when not given.
    team_address
        The address of the team; "" when not given.
    gone
        Whether the owner is gone: the team is written to in their place.

    Raises
    ------
    ValueError
        There is no condition, or the owner is empty.
    """

    owner: str
    pipeline: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    team: str = ""
    address: str = ""
    team_address: str = ""
    gone: bool = False

    def __post_init__(self) -> None:
        if not self.owner.strip():
            raise ValueError("owner should not be empty")
        if self.pipeline is None and not self.labels:
            raise ValueError('pipeline or labels should be given; pipeline = "*" holds for all')

    def holds(self, pipeline: str, labels: Mapping[str, str]) -> bool:
        """Whether the rule holds for a pipeline with these properties."""
        if self.pipeline is not None and not fnmatchcase(pipeline, self.pipeline):
            return False
        return all(labels.get(name) == value for name, value in self.labels.items())


class Owners:
    """Rules in order; the first that holds gives the owner.

    Parameters
    ----------
    rules
        The rules.
    admins
        The address of whoever is written to where there is nobody else; "" when not given.
    """

    def __init__(self, rules: Iterable[OwnerRule] = (), admins: str = "") -> None:
        self.rules = tuple(rules)
        self.admins = admins.strip()
        #: The properties that conditions ask for.
        self.label_names = frozenset(name for rule in self.rules for name in rule.labels)

    def find(self, pipeline: str, labels: Mapping[str, str]) -> str:
        """The owner of a pipeline.

        Parameters
        ----------
        pipeline
            The pipeline's name.
        labels
            Its properties, those of `label_names` as far as they are known.

        Returns
        -------
        str
            "" when no rule holds.
        """
        return next((rule.owner for rule in self.rules if rule.holds(pipeline, labels)), "")

    def contact(self, owner: str) -> OwnerRule | None:
        """The first rule that names an owner, for the team and the address; None when no rule does."""
        return next((rule for rule in self.rules if rule.owner == owner), None)

    def is_gone(self, owner: str) -> bool:
        """Whether a rule says that an owner is gone."""
        return any(rule.owner == owner and rule.gone for rule in self.rules)

    def addresses(self, owner: str) -> list[str]:
        """The addresses at which an owner is written to, the first that can be; "" is nobody.

        Parameters
        ----------
        owner
            The owner; "" where it is not known.

        Returns
        -------
        list of str
            That of the owner, whose name may be one where no rule names them, or that of the team of an owner who is
            gone; then that of the admins.

        Examples
        --------
        >>> Owners([OwnerRule("ann", pipeline="*", team_address="ads@example.com", gone=True)]).addresses("ann")
        ['ads@example.com']
        """
        rules = [rule for rule in self.rules if rule.owner == owner]
        if self.is_gone(owner):
            own = next((rule.team_address for rule in rules if rule.team_address), "")
        else:
            own = rules[0].address if rules else owner
        return [each for each in (own.strip(), self.admins) if each]
