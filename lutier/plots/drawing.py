"""Drawn: figures that know how to draw themselves, in notebooks and to files."""

from __future__ import annotations

import html
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from devices.errors import InputError, MissingExtraError
from devices.files import write_at_once
from lutier.plots.palette import light

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("svg", "png", "pdf")
"""What figures are written as."""
_DOTS_PER_INCH = 150
# Files of the same figures are the same files.
_METADATA: dict[str, dict[str, str | None]] = {
    "svg": {"Date": None, "Creator": "Lutier"},
    "pdf": {"CreationDate": None, "Creator": "Lutier", "Producer": None},
    "png": {"Software": "Lutier"},
}


class Drawn:
    """Something with a figure: :meth:`figure` draws it, notebooks show it."""

    def figure(self) -> Figure:
        """Draw it with matplotlib."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return figure_svg(self.figure())


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of some inches, which no window shows and nothing else keeps.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "matplotlib is not installed", str(error), "pip install matplotlib"
        ) from error
    return Figure(figsize=(width, height), layout="constrained", facecolor=light("page"))


def style(axes: Axes, title: str, x: str, y: str) -> None:
    """The look of all axes: quiet grid, no box."""
    axes.set_title(plain(title), loc="left", fontsize=10, color=light("text"))
    axes.set_xlabel(plain(x), color=light("muted"), fontsize=9)
    axes.set_ylabel(plain(y), color=light("muted"), fontsize=9)
    axes.grid(color=light("grid"), linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=light("muted"), labelsize=8, length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def plain(text: str) -> str:
    """Text that matplotlib takes word for word, not for mathematics."""
    return text.replace("$", r"\$")


@contextmanager
def _as_text() -> Iterator[None]:
    """Letters of SVG files stay letters, and their ids are the same in every run."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lutier"}):
        yield


def figure_bytes(figure: Figure, file_format: str) -> bytes:
    """A figure as a file of one of :data:`FORMATS`."""
    buffer = io.BytesIO()
    with _as_text():
        figure.savefig(
            buffer, format=file_format, dpi=_DOTS_PER_INCH, metadata=_METADATA[file_format]
        )
    return buffer.getvalue()


def figure_svg(figure: Figure) -> str:
    """A figure as an SVG element, to stand in a page."""
    text = figure_bytes(figure, "svg").decode()
    return text[text.index("<svg") :]


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure to a file whose suffix says the format.

    Raises:
        InputError: another suffix, or the file cannot be written.
    """
    file_format = checked_format(path)
    write_output(path, figure_bytes(figure, file_format))


def checked_format(path: Path) -> str:
    """The format that a file's suffix stands for.

    Raises:
        InputError: none of :data:`FORMATS`.
    """
    file_format = path.suffix.lower().removeprefix(".")
    if file_format not in FORMATS:
        raise InputError(
            f"cannot draw {path}",
            f"figures are written as {', '.join(FORMATS)}",
            f"-o {path.with_suffix('.svg')}",
        )
    return file_format


def write_output(path: Path, contents: bytes | str) -> None:
    """Write a file that somebody asked for.

    Raises:
        InputError: it cannot be written there.
    """
    if path.is_dir():
        raise InputError(f"cannot write {path}", "it is a folder", "-o FILE")
    try:
        write_at_once(path, contents)
    except OSError as error:
        raise InputError(f"cannot write {path}", error.strerror or str(error), "-o FILE") from error


def html_table(caption: str, head: list[str], rows: list[list[str]]) -> str:
    """A small table for a notebook; all texts are escaped."""

    def cells(tag: str, values: list[str]) -> str:
        return "".join(f"<{tag}>{html.escape(value)}</{tag}>" for value in values)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f"<table><caption>{html.escape(caption)}</caption>"
        f"<thead><tr>{cells('th', head)}</tr></thead><tbody>{body}</tbody></table>"
    )
