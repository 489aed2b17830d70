"""Which cells of NAS-Bench-201 compute the same function.

Two cells are the same where the one turns into the other by:

- leaving out ``none``, and every edge that no path from the input to the output goes through;
- merging a ``skip_connect`` into the node it leads to: that node's sum then holds all terms of the
  node before;
- putting terms of a sum in another order, which covers swapping the two middle nodes.

Convolutions with weights of their own stay different ones: ``conv(x)`` used twice is not the sum of
two ``conv(x)``. An average of a sum is kept apart from the sum of averages, which is the same
function at another price. So 15,625 cells make 5,260 forms.
An average or a convolution of zeros counts as zeros: it is the constant that batch norm shifts by,
0 before training.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from functools import cache

from profiler.builders.paths import on_paths

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""``(from, to)`` of each edge, in the order of the architecture string."""

NODES = 4
_NONE, _SKIP, _POOL = 0, 1, 4
_OPERATIONS = 5
_NAMES = "-=137"

Choices = tuple[int, ...]


def live_edges(choices: Sequence[int]) -> tuple[int, ...]:
    """Indices of the edges that lie on a path from the input to the output."""
    used = [i for i, choice in enumerate(choices) if choice != _NONE]
    live = on_paths([EDGES[i] for i in used], NODES - 1)
    return tuple(i for i in used if EDGES[i] in live)


def form(choices: Choices) -> str:
    """A text that is the same for two cells exactly where the rules above turn them into one."""
    live = live_edges(choices)
    groups: dict[str, list[int]] = {}
    for i, shape in _shapes(choices, live).items():
        groups.setdefault(shape, []).append(i)
    # Which of several convolutions alike is called the first does not matter.
    every = itertools.product(*(itertools.permutations(group) for group in groups.values()))
    return min(
        _text(choices, live, {i: str(n) for order in orders for n, i in enumerate(order)})
        for orders in every
    )


@cache
def representatives() -> dict[Choices, Choices]:
    """Of the choices of every cell, the first in lexicographic order of the same function."""
    first: dict[str, Choices] = {}
    every = itertools.product(range(_OPERATIONS), repeat=len(EDGES))
    return {choices: first.setdefault(form(choices), choices) for choices in every}


def _terms(choices: Choices, live: Iterable[int], names: dict[int, str]) -> dict[int, list[str]]:
    """The terms of each node's sum, sorted, with the convolutions called by these names."""
    terms: dict[int, list[str]] = {0: ["x"], 1: [], 2: [], 3: []}
    for i in sorted(live, key=lambda i: EDGES[i][1]):
        before, after = EDGES[i]
        if choices[i] == _SKIP:
            terms[after] += terms[before]
        else:
            inside = "+".join(sorted(terms[before]))
            terms[after].append(f"{_NAMES[choices[i]]}{names.get(i, '')}({inside})")
    return terms


def _text(choices: Choices, live: Iterable[int], names: dict[int, str]) -> str:
    return "+".join(sorted(_terms(choices, live, names)[NODES - 1]))


def _shapes(choices: Choices, live: tuple[int, ...]) -> dict[int, str]:
    """Of each live convolution, what it computes where convolutions alike are not told apart."""
    terms = _terms(choices, live, {})
    return {
        i: f"{_NAMES[choices[i]]}({'+'.join(sorted(terms[EDGES[i][0]]))})"
        for i in live
        if choices[i] not in (_SKIP, _POOL)
    }
