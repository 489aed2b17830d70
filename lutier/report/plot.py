"""Plot: an interactive figure of the page, and what it shows in words."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from devices.errors import MissingExtraError
from lutier.plots.palette import light
from lutier.report.csv_files import CsvFile
from search.budget import format_ms

EMPTY_HOVER = "%{text}<extra></extra>"


@dataclass(frozen=True)
class Plot:
    """One figure.

    Attributes:
        id: of its element in the page.
        title: above it.
        summary: what it shows, in words.
        figure: for Plotly, as JSON holds it.
        csv: what is drawn, as a file; the page has the same as a table where it says so.
        height: in pixels.
    """

    id: str
    title: str
    summary: str
    figure: dict[str, Any]
    csv: CsvFile
    height: int = 380


def require_plotly() -> Any:
    """Plotly's figures.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        from plotly import graph_objects
    except ImportError as error:
        raise MissingExtraError(
            "plotly is not installed", "the report is drawn with it", "pip install 'lutier[report]'"
        ) from error
    return graph_objects


def plotly_script() -> str:
    """Plotly's own program, to stand in the page."""
    require_plotly()
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def label(text: str) -> str:
    """Text as Plotly shows it word for word: it takes some HTML for formatting."""
    return html.escape(text, quote=False)


def lines(*parts: str) -> str:
    """What is shown where the pointer is: a first line in bold, and others."""
    first, *others = (label(part) for part in parts if part)
    return "<br>".join([f"<b>{first}</b>", *others])


def layout(x: str, y: str, **more: Any) -> dict[str, Any]:
    """The look of all plots: quiet grid, no box, the legend below."""
    axis = {
        "gridcolor": light("grid"),
        "zeroline": False,
        "linecolor": light("line"),
        "automargin": True,
    }
    title = {"standoff": 8, "font": {"size": 13, "color": light("muted")}}
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": light("text"), "size": 13},
        "margin": {"l": 12, "r": 16, "t": 24, "b": 12},
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": light("raised"),
            "bordercolor": light("line"),
            "font": {"color": light("text"), "size": 13},
            "align": "left",
        },
        "legend": {"orientation": "h", "x": 0, "y": -0.22, "yanchor": "top", "xanchor": "left"},
        "xaxis": {**axis, "title": {"text": x, **title}, **more.pop("xaxis", {})},
        "yaxis": {**axis, "title": {"text": y, **title}, **more.pop("yaxis", {})},
        **more,
    }


def budget_line(budget_ms: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """A line where a budget is on an axis of latencies, and what is written at it."""
    ends = {"x0": budget_ms, "x1": budget_ms, "y0": 0, "y1": 1, "yref": "paper"}
    line = {"type": "line", "line": {"color": light("bad"), "width": 1.5, "dash": "dash"}, **ends}
    note = {
        "x": budget_ms,
        "y": 1,
        "yref": "paper",
        "yanchor": "bottom",
        "xanchor": "right",
        "text": f"budget {format_ms(budget_ms)}",
        "showarrow": False,
        "font": {"color": light("bad"), "size": 12},
    }
    return line, note


def finished(go: Any, traces: list[Any], shape: dict[str, Any]) -> dict[str, Any]:
    """Check a figure, and give it as JSON holds it.

    Args:
        go: Plotly's figures.
        traces: what is drawn.
        shape: from :func:`layout`.
    """
    figure: dict[str, Any] = go.Figure(traces, go.Layout(template="none", **shape)).to_plotly_json()
    figure["layout"].pop("template", None)
    return figure
