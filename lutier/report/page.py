"""The page: one HTML file that holds everything it needs, and runs nothing that is not its own."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lutier import __version__
from lutier.plots.evidence import Evidence
from lutier.plots.front import fronts
from lutier.plots.history import histories
from lutier.plots.latency_map import table_maps
from lutier.plots.palette import COLORS, HEAT
from lutier.plots.predictions import predictions
from lutier.plots.runs import Run
from lutier.plots.wording import interval_text, latency_text, shape_text, verdict
from lutier.report.cards import cards
from lutier.report.commands import commands
from lutier.report.conditions import conditions
from lutier.report.figures import front_plot, prediction_plots
from lutier.report.history_figures import history_plots
from lutier.report.plot import Plot, plotly_script
from lutier.report.style import heat_step, source, style_sheet
from lutier.report.table_section import TableSection, rules, table_sections
from lutier.results import SearchResult
from lutier.settings import Settings
from lutier.terminal import percent
from search.budget import format_ms


def render_report(
    runs: Sequence[Run],
    evidence: Mapping[str, Evidence],
    settings: Settings,
    name: str,
    home: str = "",
) -> str:
    """The page of some searches. The same input gives the same page.

    Args:
        runs: the searches, at least one.
        evidence: of their targets.
        settings: what the commands in the page need not say.
        name: of the file that it is written to.
        home: where a link leads back to; without it the page has none.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    plotly = _script(plotly_script())
    networks = cards(runs, evidence)
    anchors = {(card.target, card.architecture): card.id for card in networks}
    by_network = {card.architecture: card.id for card in reversed(networks)}

    def anchor(target: str, architecture: str) -> str | None:
        return anchors.get((target, architecture)) or by_network.get(architecture)

    given_fronts, given_predictions = fronts(runs), predictions(runs, evidence)
    given_histories = histories(runs)
    front_plots = [front_plot(each, i, anchor) for i, each in enumerate(given_fronts, 1)]
    predicted = [prediction_plots(each, i, anchor) for i, each in enumerate(given_predictions, 1)]
    courses = [history_plots(each, i) for i, each in enumerate(given_histories, 1)]
    tables = table_sections(evidence, table_maps(runs, evidence))
    plots: list[Plot] = [
        *front_plots,
        *(plot for group in (*predicted, *courses) for plot in group),
        *(card.plot for card in networks if card.plot),
    ]
    environment = _environment()
    early, page = _script(source("theme.js")), _script(source("report.js"))
    return environment.get_template("report.html.j2").render(
        anchor=anchor,
        cards=networks,
        commands=commands(runs, evidence, settings, name),
        conditions=conditions(runs, evidence),
        early=early,
        fronts=list(zip(given_fronts, front_plots, strict=True)),
        home=home,
        histories=list(zip(given_histories, courses, strict=True)),
        notes=[note for of in evidence.values() for note in of.notes],
        page=page,
        plotly=plotly,
        plots=_plots_json(plots),
        policy=_policy([early, plotly, page]),
        predictions=list(zip(given_predictions, predicted, strict=True)),
        rows=_row_ids(tables),
        rules=rules(),
        runs=runs,
        styles=Markup(style_sheet()),  # noqa: S704 - ours
        tables=tables,
        title=_title(runs),
        unmeasured=[of for of in evidence.values() if of.table is None],
        version=__version__,
    )


def _title(runs: Sequence[Run]) -> str:
    spaces = dict.fromkeys(run.result.space for run in runs)
    targets = dict.fromkeys(run.result.target for run in runs)
    return f"{', '.join(spaces)} on {', '.join(targets)}"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lutier.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        ms=format_ms, percent=percent, shape=shape_text, latency=latency_text, million=_million
    )
    environment.globals.update(
        heat_step=heat_step, interval=interval_text, verdict=verdict, budget_bar=budget_bar
    )
    return environment


def _million(value: int) -> str:
    return f"{value / 1e6:.2f} M"


def _script(text: str) -> Markup:
    """A program of ours or of Plotly, word for word as a browser will read it."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lowered = text.lower()
    if "</script" in lowered or "<!--" in lowered:
        raise AssertionError("a script that would end before its end")
    return Markup(text)  # noqa: S704 - nothing in it is from outside


def _policy(scripts: Sequence[Markup]) -> str:
    """What a browser may run and load: these scripts, and nothing from anywhere."""
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in scripts)
    allowed = " ".join(f"'sha256-{digest.decode()}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline';"
        " img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _plots_json(plots: Sequence[Plot]) -> dict[str, Any]:
    """Every figure by the id of its element, and the colours of light and dark."""
    return {
        "figures": {plot.id: plot.figure for plot in plots},
        "colors": [*COLORS.values(), *HEAT],
    }


def _row_ids(tables: Sequence[TableSection]) -> dict[tuple[str, str], str]:
    """The id of the row of an op, by target and key."""
    return {
        (table.evidence.target, each.row.key): each.id for table in tables for each in table.rows
    }


def budget_bar(result: SearchResult) -> Markup:
    """A bar as long as the latency, its interval, and a line where the budget is."""
    low_ms, high_ms = result.measured_interval_ms
    longest = 1.08 * max(result.budget_ms, high_ms)

    def at(value_ms: float) -> str:
        return f"{100 * value_ms / longest:.2f}"

    return Markup(
        '<svg class="bar" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true"'
        ' focusable="false"><rect x="0" y="3" width="100" height="6" class="bar-room"/>'
        '<rect x="0" y="3" width="{measured}" height="6" class="bar-{kind}"/>'
        '<line x1="{low}" x2="{high}" y1="6" y2="6" class="bar-interval"/>'
        '<line x1="{budget}" x2="{budget}" y1="0" y2="12" class="bar-budget"/></svg>'
    ).format(
        measured=at(result.measured_ms),
        kind="good" if result.is_within_budget else "bad",
        low=at(low_ms),
        high=at(high_ms),
        budget=at(result.budget_ms),
    )
