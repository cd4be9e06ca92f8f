"""An index of pushes in the order of their trainers, and of the graphlets that a later push would supersede."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from stream_app.core.state.entities import Graphlet

#: Start of the trainer, its id, time of the push.
Push = tuple[int, str, int]

#: After every time.
_NEVER_MS = 1 << 62


class PushIndex:
    """The pushes of one pipeline; times are in ms since 1970 UTC."""

    __slots__ = ("_position", "_push_of", "pushes", "supersedable")

    def __init__(self) -> None:
        #: Sorted.
        self.pushes: list[Push] = []
        self._push_of: dict[Graphlet, Push] = {}
        #: Graphlets that a later trainer's push would decide, sorted: (trainer start, trainer id).
        self.supersedable: list[tuple[int, str]] = []
        self._position: dict[Graphlet, tuple[int, str]] = {}

    def __contains__(self, graphlet: object) -> bool:
        """Whether a graphlet's push is in the index."""
        return graphlet in self._push_of

    def is_supersedable(self, graphlet: Graphlet) -> bool:
        """Whether a later push would decide the graphlet."""
        return graphlet in self._position

    def positions(self) -> list[tuple[int, str]]:
        """The positions of the supersedable graphlets, in no particular order."""
        return list(self._position.values())

    def superseded_ms(self, trainer_start_ms: int, trainer_id: str) -> int | None:
        """The time of the first push of a later trainer; None without one."""
        later = self.pushes[bisect_right(self.pushes, (trainer_start_ms, trainer_id, _NEVER_MS)) :]
        return min(push_ms for _, _, push_ms in later) if later else None

    def move(self, graphlet: Graphlet, push: Push | None) -> tuple[Push | None, Push | None] | None:
        """Sets or removes a graphlet's push; returns it before and after, or None when nothing changed."""
        before = self._push_of.get(graphlet)
        if before == push:
            return None
        if before is not None:
            self.pushes.pop(bisect_left(self.pushes, before))
            del self._push_of[graphlet]
        if push is not None:
            insort(self.pushes, push)
            self._push_of[graphlet] = push
        return before, push

    def before(self, push: Push) -> Iterator[str]:
        """The trainers of the supersedable graphlets before a push's trainer, the latest first."""
        for position in range(bisect_left(self.supersedable, push[:2]) - 1, -1, -1):
            yield self.supersedable[position][1]

    def track(self, graphlet: Graphlet, *, supersedable: bool) -> None:
        """Updates whether a later push would decide the graphlet, and its position."""
        before = self._position.get(graphlet)
        after = graphlet.trainer.sort_key() if supersedable else None
        if before == after:
            return
        if before is not None:
            del self.supersedable[bisect_left(self.supersedable, before)]
            del self._position[graphlet]
        if after is not None:
            insort(self.supersedable, after)
            self._position[graphlet] = after

    def close(self, graphlet: Graphlet) -> None:
        """Removes an evicted graphlet; its push still supersedes earlier graphlets."""
        self.track(graphlet, supersedable=False)
        self._push_of.pop(graphlet, None)

    def closed(self) -> list[Push]:
        """The pushes of evicted graphlets, sorted."""
        kept = set(self._push_of.values())
        return [push for push in self.pushes if push not in kept]

    def forget_before(self, first: tuple[int, str] | None) -> None:
        """Drops the pushes before `first`, the position of the first graphlet kept; without one, all pushes."""
        if first is None:
            self.pushes.clear()
        else:
            del self.pushes[: bisect_left(self.pushes, (*first, 0))]
