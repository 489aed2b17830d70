"""An architecture: a tuple of choices in a named space, with a stable id."""

from __future__ import annotations

from dataclasses import dataclass

from devices.errors import InputError

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
MAX_CANDIDATES = len(_DIGITS)


@dataclass(frozen=True, order=True)
class Architecture:
    """One network of a search space.

    Attributes:
        space: the space's canonical string, e.g. ``mobile-tiny`` or ``mobile?resolution=96``.
        choices: index of the candidate taken in each block.
    """

    space: str
    choices: tuple[int, ...]

    def __post_init__(self) -> None:
        for choice in self.choices:
            if not isinstance(choice, int) or not 0 <= choice < MAX_CANDIDATES:
                raise InputError(f"choice {choice!r}", f"must be 0 to {MAX_CANDIDATES - 1}")

    @property
    def code(self) -> str:
        """The choices, one base-36 digit a block: ``0316``."""
        return "".join(_DIGITS[choice] for choice in self.choices)

    @property
    def id(self) -> str:
        """Stable id over all spaces: ``mobile-tiny:0316``."""
        return f"{self.space}:{self.code}"

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """Read an architecture back from its :attr:`id`.

        The space is not looked up; ``SearchSpace.check`` says whether the choices exist in it.

        Raises:
            InputError: the text is not an architecture id.
        """
        space, separator, code = text.rpartition(":")
        if not separator or not space or not code or any(c not in _DIGITS for c in code):
            raise InputError(
                f"{text[:80]!r} is not an architecture",
                "an architecture is written SPACE:CODE",
                "mobile-tiny:000000000",
            )
        return cls(space, tuple(_DIGITS.index(c) for c in code))

    def __str__(self) -> str:
        return self.id
