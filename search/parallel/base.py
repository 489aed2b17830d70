"""What workers are, and the simplest: the process that asks.

Work is a function of one item that depends on nothing else, so that it does not matter where it is
done, or whether it is done again because a worker was lost half way.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol

LOSSES = 3
"""How often a worker may be lost over the same item before that is an error."""

Work = Callable[[Any], Any]


class Workers(Protocol):
    """Those who do work.

    Contract: every item is done, and its result given exactly once, in whatever order; what the
    work raises is raised; what a lost worker was doing is done again. Work and items are handed
    over by pickle, unless :attr:`in_process`. No work goes on once the results are closed.
    """

    @property
    def in_process(self) -> bool:
        """Whether the asking process itself works, and can be told how far it is."""

    @property
    def shares_files(self) -> bool:
        """Whether workers see the files of the asking process."""

    def results(self, work: Work, items: Sequence[Any]) -> Generator[tuple[int, Any], None, None]:
        """Index and result of each item, as they come.

        Args:
            work: a function of an item; a callable object that can be pickled.
            items: what to do.

        Raises:
            LinkLostError: workers were lost again and again over one item, or all of them were.
        """


class InProcess:
    """The asking process works, one item after the other."""

    in_process = True
    shares_files = True

    def results(self, work: Work, items: Sequence[Any]) -> Generator[tuple[int, Any], None, None]:
        """Index and result of each item, in order."""
        for index, item in enumerate(items):
            yield index, work(item)
