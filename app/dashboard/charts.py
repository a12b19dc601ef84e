"""Charts: frames in, Altair specifications out, all with one scale of colours and one look.

What belongs here: marks and encodings. What does not: questions, session state, words about the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from app.dashboard.palette import palette

FONT = '"Source Sans", sans-serif'
DAY = "%-d %b"
UTC_SCALE = alt.Scale(type="utc")
"""Days and hours arrive as business time without a zone: the browser's own zone must not move them."""
Chart = alt.Chart | alt.LayerChart | alt.FacetChart | alt.ConcatChart | alt.HConcatChart | alt.VConcatChart


def styled(chart: Any, *, height: int = 220) -> Any:
    """Return a chart in the look of the house. Every chart goes through here."""
    colours = palette()
    axis = {
        "labelColor": colours.muted,
        "titleColor": colours.muted,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelFont": FONT,
        "titleFont": FONT,
        "domainColor": colours.line,
        "tickColor": colours.line,
        "gridColor": "#eef1f4",
        "labelPadding": 5,
        "titlePadding": 8,
        "labelLimit": 150,
    }
    return (
        chart.properties(height=height, width="container")
        .configure(
            background=colours.ground, font=FONT, padding={"left": 2, "right": 10, "top": 6, "bottom": 2}
        )
        .configure_view(stroke=None)
        .configure_axis(**axis)
        .configure_axisX(grid=False)
        .configure_axisY(domain=False, ticks=False)
        .configure_legend(
            orient="top",
            title=None,
            labelColor=colours.ink,
            labelFontSize=12,
            labelFont=FONT,
            symbolSize=90,
            labelLimit=320,
            padding=0,
            offset=8,
        )
    )


def _tooltip(pairs: Sequence[tuple[str, str]]) -> list[alt.Tooltip]:
    return [alt.Tooltip(shorthand, title=title) for shorthand, title in pairs]


def _wall(column: str) -> pl.Expr:
    # What the wall clock of the business says, called UTC and drawn on a UTC scale: then no browser moves it.
    return pl.col(column).cast(pl.Datetime("ms")).dt.replace_time_zone("UTC")


def _day_axis() -> alt.X:
    return alt.X("day:O", sort=None, title=None, axis=alt.Axis(labelAngle=0, labelOverlap=True, ticks=False))


def score_over_time(rows: pl.DataFrame, *, floors: Sequence[tuple[str, float]], high: float = 100.0) -> Any:
    """Line of a score by day, its interval as a band, and the floors of the rulebook as dashed lines.

    rows: as_of_date, score, lower_bound, upper_bound, sample_size. floors: name and lower bound of each tier.
    """
    colours = palette()
    scale = alt.Scale(domain=[0, high])
    x = alt.X("as_of_date:T", title=None, scale=UTC_SCALE, axis=alt.Axis(format="%-d %b", tickCount=6))
    base = alt.Chart(rows.with_columns(_wall("as_of_date"), day=pl.col("as_of_date").dt.strftime(DAY)))
    band = base.mark_area(color=colours.accent, opacity=0.12).encode(
        x=x, y=alt.Y("lower_bound:Q", scale=scale, title=None), y2="upper_bound:Q"
    )
    line = base.mark_line(color=colours.accent, strokeWidth=2).encode(
        x=x, y=alt.Y("score:Q", scale=scale, title=None)
    )
    points = base.mark_circle(color=colours.accent, size=24).encode(
        x=x,
        y=alt.Y("score:Q", scale=scale),
        tooltip=_tooltip(
            [("day:N", "Day"), ("score:Q", "Score"), ("tier:N", "Tier"), ("sample_size:Q", "Sessions")]
        ),
    )
    layers = [band, line, points]
    known = [{"name": name.replace("_", " "), "floor": floor} for name, floor in floors if 0 < floor < high]
    if known:
        rules = alt.Chart(pl.DataFrame(known))
        layers.append(
            rules.mark_rule(strokeDash=[4, 4], color=colours.muted).encode(y=alt.Y("floor:Q", scale=scale))
        )
        layers.append(
            rules.mark_text(align="right", dx=-2, dy=-6, fontSize=11, color=colours.muted, font=FONT).encode(
                x=alt.value("width"), y=alt.Y("floor:Q", scale=scale), text="name:N"
            )
        )
    return styled(alt.layer(*layers))


def quality_over_time(rows: pl.DataFrame, *, limits: Sequence[tuple[str, float]]) -> Any:
    """Line of a data-quality score by day, with the limits of the rulebook as dashed lines.

    rows: as_of_date, score, usual_score, read_count. The scale begins where the scores do: most lie close to 100.
    """
    colours = palette()
    lowest = min([float(score) for score in rows["score"].to_list()] + [floor for _, floor in limits])
    scale = alt.Scale(domain=[max(0.0, 10 * (lowest // 10) - 5), 100], nice=False)
    x = alt.X("as_of_date:T", title=None, scale=UTC_SCALE, axis=alt.Axis(format=DAY, tickCount=6))
    base = alt.Chart(rows.with_columns(_wall("as_of_date"), day=pl.col("as_of_date").dt.strftime(DAY)))
    line = base.mark_line(color=colours.accent, strokeWidth=2).encode(
        x=x, y=alt.Y("score:Q", scale=scale, title=None)
    )
    points = base.mark_circle(color=colours.accent, size=28).encode(
        x=x,
        y=alt.Y("score:Q", scale=scale),
        tooltip=_tooltip(
            [
                ("day:N", "Day"),
                ("score:Q", "Score"),
                ("usual_score:Q", "Usual"),
                ("read_count:Q", "Records read"),
            ]
        ),
    )
    rules = alt.Chart(pl.DataFrame([{"name": name, "floor": floor} for name, floor in limits]))
    dashes = rules.mark_rule(strokeDash=[4, 4], color=colours.muted).encode(y=alt.Y("floor:Q", scale=scale))
    names = rules.mark_text(align="left", dx=4, dy=8, fontSize=11, color=colours.muted, font=FONT).encode(
        x=alt.value(0), y=alt.Y("floor:Q", scale=scale), text="name:N"
    )
    return styled(alt.layer(line, points, *([dashes, names] if limits else [])), height=200)


def points_of_score(parts: pl.DataFrame) -> Any:
    """Waterfall of a score. parts: label, start, stop, tone, text, in order; totals start at 0."""
    colours = palette()
    order = alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=190, labelColor=colours.ink))
    tones = ["red", "amber", "green", "accent", "grey"]
    room = 1.16 * max(float(parts["stop"].max() or 0), float(parts["start"].max() or 0), 1e-9)  # type: ignore[arg-type]
    bars = (
        alt.Chart(parts)
        .mark_bar(height=16, cornerRadius=3)
        .encode(
            y=order,
            x=alt.X(
                "start:Q",
                title="points",
                scale=alt.Scale(domain=[0, room], nice=False),
                axis=alt.Axis(tickCount=6),
            ),
            x2="stop:Q",
            color=alt.Color(
                "tone:N",
                scale=alt.Scale(domain=tones, range=[colours.of(tone) for tone in tones]),
                legend=None,
            ),
            tooltip=_tooltip([("label:N", "Part"), ("text:N", "Points")]),
        )
    )
    labels = (
        alt.Chart(parts)
        .transform_calculate(edge="max(datum.start, datum.stop)")
        .mark_text(align="left", dx=6, fontSize=12, font=FONT, color=colours.ink)
        .encode(y=order, x="edge:Q", text="text:N")
    )
    return styled(alt.layer(bars, labels), height=34 * parts.height + 44)


def bars_with_benchmark(
    rows: pl.DataFrame, *, benchmark: float | None, title: str, is_rate: bool = True
) -> Any:
    """Horizontal bars of a rate from 0 to 1 with how many sessions stand behind each.

    rows: label, value, sample, tone. benchmark: a line, or None.
    """
    colours = palette()
    y = alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelColor=colours.ink))
    # Room to the right of a full bar for its label.
    scale = alt.Scale(domain=[0, 1.22])
    marks = [0, 0.25, 0.5, 0.75, 1]
    axis = (
        alt.Axis(values=marks, format="%")
        if is_rate
        else alt.Axis(values=marks, labelExpr="datum.value * 100")
    )
    tones = ["red", "amber", "green", "accent", "grey"]
    bars = (
        alt.Chart(rows)
        .mark_bar(height=16, cornerRadius=3)
        .encode(
            y=y,
            x=alt.X("value:Q", scale=scale, title=title, axis=axis),
            color=alt.Color(
                "tone:N",
                scale=alt.Scale(domain=tones, range=[colours.of(tone) for tone in tones]),
                legend=None,
            ),
            tooltip=[
                alt.Tooltip("label:N", title="Of"),
                alt.Tooltip("value:Q", title=title, format=".0%"),
                alt.Tooltip("sample:Q", title="Sessions"),
            ],
        )
    )
    labels = (
        alt.Chart(rows)
        .mark_text(align="left", dx=6, fontSize=12, font=FONT, color=colours.muted)
        .encode(y=y, x=alt.X("value:Q", scale=scale), text="text:N")
    )
    layers = [bars, labels]
    if benchmark is not None:
        line = alt.Chart(pl.DataFrame({"at": [benchmark]})).mark_rule(strokeDash=[4, 4], color=colours.ink)
        layers = [bars, line.encode(x=alt.X("at:Q", scale=scale)), labels]
    return styled(alt.layer(*layers), height=30 * rows.height + 46)


def hours_of_day(rows: pl.DataFrame) -> Any:
    """Sessions by hour of the day against the usual. rows: hour, sessions, usual."""
    colours = palette()
    x = alt.X("hour:O", title="hour of the day", axis=alt.Axis(labelAngle=0, labelOverlap=True))
    base = alt.Chart(rows)
    tooltip = _tooltip([("hour:O", "Hour"), ("sessions:Q", "Sessions"), ("usual:Q", "Usual")])
    bars = base.mark_bar(color=colours.accent, cornerRadiusEnd=2).encode(
        x=x, y=alt.Y("sessions:Q", title="sessions"), tooltip=tooltip
    )
    usual = base.mark_tick(color=colours.ink, thickness=2, width={"band": 0.9}).encode(
        x=x, y="usual:Q", tooltip=tooltip
    )
    return styled(alt.layer(bars, usual))


def days(
    rows: pl.DataFrame, *, value: str, title: str, target: float | None = None, number: str = ",.0f"
) -> Any:
    """Bars by day with an optional target line. rows: date and the value column."""
    colours = palette()
    bars = (
        alt.Chart(rows.sort("date").with_columns(day=pl.col("date").dt.strftime(DAY)))
        .mark_bar(color=colours.accent, cornerRadiusEnd=2)
        .encode(
            x=_day_axis(),
            y=alt.Y(f"{value}:Q", title=title),
            tooltip=[
                alt.Tooltip("day:N", title="Day"),
                alt.Tooltip(f"{value}:Q", title=title, format=number),
            ],
        )
    )
    if target is None:
        return styled(bars)
    line = (
        alt.Chart(pl.DataFrame({"at": [target]}))
        .mark_rule(strokeDash=[4, 4], color=colours.ink)
        .encode(y="at:Q")
    )
    return styled(alt.layer(bars, line))


def stacked_days(rows: pl.DataFrame, *, parts: Sequence[tuple[str, str, str]], title: str) -> Any:
    """Stacked bars by day. rows: date and one column per part; parts: column, label, tone."""
    colours = palette()
    named = rows.sort("date").with_columns(day=pl.col("date").dt.strftime(DAY))
    long = named.select("day", *[pl.col(column).alias(name) for column, name, _ in parts]).unpivot(
        index="day", variable_name="part", value_name="value"
    )
    scale = alt.Scale(domain=[name for _, name, _ in parts], range=[colours.of(tone) for _, _, tone in parts])
    chart = (
        alt.Chart(long)
        .mark_bar()
        .encode(
            x=_day_axis(),
            y=alt.Y("value:Q", title=title, axis=alt.Axis(tickMinStep=1)),
            color=alt.Color("part:N", scale=scale),
            tooltip=_tooltip([("day:N", "Day"), ("part:N", "Of"), ("value:Q", title)]),
        )
    )
    return styled(chart)


def forecast(rows: pl.DataFrame, *, unit: str) -> Any:
    """Expected demand by hour with its band and, where it is known, supply as a step line.

    rows: hour_local, demand, low, high, all in the unit, and supply unless nobody knows it.
    """
    colours = palette()
    x = alt.X(
        "hour_local:T",
        title=None,
        scale=UTC_SCALE,
        axis=alt.Axis(format="%a %-d", tickCount=7, labelOverlap=True),
    )
    base = alt.Chart(
        rows.with_columns(_wall("hour_local"), hour=pl.col("hour_local").dt.strftime("%a %-d %b %H:%M"))
    )
    parts = [("demand", "Expected demand"), ("low", "Low"), ("high", "High"), ("supply", "Supply")]
    tooltip = [
        alt.Tooltip("hour:N", title="Hour"),
        *(alt.Tooltip(f"{name}:Q", title=title, format=".1f") for name, title in parts if name in rows),
    ]
    layers = [
        base.mark_area(color=colours.accent, opacity=0.15, interpolate="monotone").encode(
            x=x, y=alt.Y("low:Q", title=unit), y2="high:Q"
        ),
        base.mark_line(strokeWidth=1.8, interpolate="monotone").encode(
            x=x, y="demand:Q", color=alt.datum("Expected demand")
        ),
    ]
    lines = {"Expected demand": colours.accent}
    if "supply" in rows:
        lines["Supply"] = colours.categories[1]
        layers.append(
            base.mark_line(strokeWidth=1.6, interpolate="step-after").encode(
                x=x, y="supply:Q", color=alt.datum("Supply")
            )
        )
    layers.append(base.mark_rule(opacity=0, strokeWidth=6).encode(x=x, tooltip=tooltip))
    scale = alt.Scale(domain=list(lines), range=list(lines.values()))
    return styled(
        alt.layer(*layers).encode(color=alt.Color(scale=scale)).resolve_scale(color="shared"), height=260
    )


def week_heatmap(rows: pl.DataFrame, *, value: str, title: str, number: str = ".1f") -> Any:
    """Hour by weekday. rows: weekday (Mon…), hour, and the value column."""
    colours = palette()
    chart = (
        alt.Chart(rows)
        .mark_rect(stroke=colours.ground, strokeWidth=1.5, cornerRadius=2)
        .encode(
            x=alt.X(
                "hour:O",
                title="hour of the day",
                axis=alt.Axis(labelAngle=0, labelOverlap=True, domain=False),
            ),
            y=alt.Y("weekday:O", sort=["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], title=None),
            color=alt.Color(
                f"{value}:Q",
                scale=alt.Scale(range=list(colours.ramp)),
                legend=alt.Legend(
                    title=title,
                    orient="top",
                    gradientLength=150,
                    gradientThickness=8,
                    titleFont=FONT,
                    titleFontSize=12,
                    titleFontWeight="normal",
                    titleColor=colours.muted,
                    titleOrient="left",
                ),
            ),
            tooltip=[
                alt.Tooltip("weekday:O", title="Day"),
                alt.Tooltip("hour:O", title="Hour"),
                alt.Tooltip(f"{value}:Q", title=title, format=number),
            ],
        )
    )
    return styled(chart, height=230)


def spark(values: Sequence[Any]) -> list[float | None]:
    """Return values as the small line of a tile or a table takes them: numbers, and gaps as None."""
    return [float(value) if value is not None and value == value else None for value in values]
