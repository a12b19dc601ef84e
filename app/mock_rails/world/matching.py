"""Which tutor takes which session: the regular one first, then whoever is free, then whoever can be asked."""

from dataclasses import dataclass

import numpy as np

CANDIDATES = 16
REGULAR_OUTSIDE_HOURS = 0.25


@dataclass(frozen=True)
class Roster:
    """The tutors of one day."""

    teachers: np.ndarray  # (subjects, widest) tutor positions, padded
    teacher_count: np.ndarray  # (subjects,)
    teaches: np.ndarray  # (tutors, subjects)
    open_today: np.ndarray  # (tutors, 24)
    working: np.ndarray  # (tutors,)
    accept: np.ndarray  # (tutors,) chance that an offer is taken
    pull: np.ndarray  # (tutors,) how often customers pick this one


def teacher_table(teaches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per subject the positions of its tutors, padded to equal width, and how many they are."""
    counts = teaches.sum(axis=0)
    table = np.zeros((teaches.shape[1], counts.max()), dtype=np.int64)
    for subject in range(teaches.shape[1]):
        table[subject, : counts[subject]] = np.flatnonzero(teaches[:, subject])
    return table, counts


def _claim(
    chosen: np.ndarray, taken: np.ndarray, rows: np.ndarray, tutors: np.ndarray, hours: np.ndarray
) -> None:
    """Give each tutor-hour to the first session that asks; the others ask again."""
    _, first = np.unique(tutors * 24 + hours, return_index=True)
    chosen[rows[first]] = tutors[first]
    taken[tutors[first], hours[first]] = True


def match(
    rng: np.random.Generator, *, roster: Roster, subjects: np.ndarray, hours: np.ndarray, regular: np.ndarray
) -> np.ndarray:
    """The tutor of each session, or -1 where nobody could be found. A tutor has one session per hour."""
    chosen = np.full(len(subjects), -1, dtype=np.int64)
    taken = np.zeros(roster.open_today.shape, dtype=bool)
    known = np.flatnonzero(regular >= 0)
    tutors, at = regular[known], hours[known]
    reachable = roster.open_today[tutors, at] | (rng.random(len(known)) < REGULAR_OUTSIDE_HOURS)
    willing = rng.random(len(known)) < roster.accept[tutors]
    fits = roster.working[tutors] & roster.teaches[tutors, subjects[known]] & reachable & willing
    _claim(chosen, taken, known[fits], tutors[fits], at[fits])
    for outside_hours in (False, False, False, True, True, True):
        rest = np.flatnonzero(chosen < 0)
        if not len(rest):
            break
        counts = roster.teacher_count[subjects[rest]][:, None]
        slot = (rng.random((len(rest), CANDIDATES)) * counts).astype(np.int64)
        offered = roster.teachers[subjects[rest][:, None], slot]
        at = hours[rest][:, None]
        score = rng.random(offered.shape) * roster.pull[offered]
        fits2 = (
            roster.working[offered] & ~taken[offered, at] & (roster.open_today[offered, at] | outside_hours)
        )
        fits2 &= rng.random(offered.shape) < roster.accept[offered]
        score[~fits2] = -1.0
        best = score.argmax(axis=1)
        row = np.arange(len(rest))
        found = score[row, best] > 0
        _claim(chosen, taken, rest[found], offered[row, best][found], hours[rest][found])
    return chosen
