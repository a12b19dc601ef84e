"""The calendar of a world: local days, their distance from UTC, breaks and holidays. No demand, no people."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from app.mock_rails.world.recipe import FUTURE_DAYS, TIME_ZONE, Recipe

HOUR_US = 3_600_000_000
MINUTE_US = 60_000_000
DAY_US = 24 * HOUR_US
BREAKS = {"winter": 0.42, "spring": 0.60, "summer": 0.85}
HOLIDAY_FACTOR = 0.35
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Days:
    """One position per local day; position `history` is the local day of the anchor."""

    dates: list[date]
    history: int
    weekday: np.ndarray
    midnight_us: np.ndarray  # local midnight read as if it were UTC
    offset_us: np.ndarray  # local minus UTC, taken at noon: every session starts after the clocks changed
    calendar_factor: np.ndarray
    is_special: np.ndarray
    breaks: list[dict[str, object]]
    holidays: list[dict[str, object]]

    def __len__(self) -> int:
        return len(self.dates)

    def utc_us(self, day: np.ndarray, local_us: np.ndarray) -> np.ndarray:
        """Microseconds since 1970 UTC of a local time of day (microseconds after local midnight)."""
        return self.midnight_us[day] + local_us - self.offset_us[day]


def _nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


def _holidays_of(year: int) -> dict[date, str]:
    thanksgiving = _nth_weekday(year, 11, 3, 4)
    memorial = date(year, 5, 31)
    memorial -= timedelta(days=memorial.weekday())
    return {
        date(year, 1, 1): "new_year",
        memorial: "memorial_day",
        date(year, 7, 4): "independence_day",
        _nth_weekday(year, 9, 0, 1): "labor_day",
        thanksgiving: "thanksgiving",
        thanksgiving + timedelta(days=1): "day_after_thanksgiving",
        date(year, 12, 24): "christmas_eve",
        date(year, 12, 25): "christmas",
    }


def _breaks_of(year: int) -> list[tuple[str, date, date]]:
    spring = _nth_weekday(year, 4, 0, 2)
    return [
        ("winter", date(year, 12, 20), date(year + 1, 1, 2)),
        ("spring", spring, spring + timedelta(days=6)),
        ("summer", date(year, 7, 1), date(year, 8, 20)),
    ]


def build_days(recipe: Recipe) -> Days:
    """The local days from the start of history to three weeks after the anchor."""
    zone = ZoneInfo(TIME_ZONE)
    anchor = recipe.until.astimezone(zone).date()
    first = anchor - timedelta(days=recipe.profile.days)
    dates = [first + timedelta(days=i) for i in range(recipe.profile.days + FUTURE_DAYS + 1)]
    years = range(first.year - 1, dates[-1].year + 1)
    holidays = {day: name for year in years for day, name in _holidays_of(year).items()}
    breaks = [b for year in years for b in _breaks_of(year) if b[2] >= first and b[1] <= dates[-1]]
    factor = np.ones(len(dates))
    for name, starts_on, ends_on in breaks:
        factor[[i for i, d in enumerate(dates) if starts_on <= d <= ends_on]] = BREAKS[name]
    is_holiday = np.array([d in holidays for d in dates])
    factor[is_holiday] = np.minimum(factor[is_holiday], HOLIDAY_FACTOR)
    noons = [datetime.combine(d, time(12), tzinfo=zone).utcoffset() or timedelta() for d in dates]
    return Days(
        dates=dates,
        history=recipe.profile.days,
        weekday=np.array([d.weekday() for d in dates]),
        midnight_us=np.array([(d - EPOCH).days for d in dates], dtype=np.int64) * DAY_US,
        offset_us=np.array([int(n.total_seconds()) for n in noons], dtype=np.int64) * 1_000_000,
        calendar_factor=factor,
        is_special=factor < 0.8,
        breaks=[
            {"name": n, "starts_on": str(a), "ends_on": str(b), "factor": BREAKS[n]} for n, a, b in breaks
        ],
        holidays=[
            {"name": holidays[d], "date": str(d), "factor": float(factor[i])}
            for i, d in enumerate(dates)
            if d in holidays
        ],
    )
