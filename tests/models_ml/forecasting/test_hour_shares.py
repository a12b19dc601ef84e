import numpy as np

from models_ml.forecasting.config import ForecastConfig
from models_ml.forecasting.shares import shrink_shares, weighted_counts

CONFIG = ForecastConfig()
EVENING = np.exp(-0.5 * ((np.arange(24) - 18) / 2.0) ** 2)
EVENING /= EVENING.sum()
MORNING = np.roll(EVENING, -9)
EVERYBODY = np.tile(EVENING, (7, 1)) * 5000


def drawn(share: np.ndarray, per_weekday: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).multinomial(per_weekday, share, size=7).astype(float)


def error(estimate: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(estimate - truth).sum(axis=1).mean())


def test_a_thin_subject_like_everybody_takes_everybodys_hours() -> None:
    counts = drawn(EVENING, 20)
    alone = counts / counts.sum(axis=1, keepdims=True)
    shares = shrink_shares(counts, EVERYBODY, CONFIG)
    assert error(shares.share, np.tile(EVENING, (7, 1))) < 0.35 * error(alone, np.tile(EVENING, (7, 1)))
    assert shares.prior_sessions > 100


def test_a_thick_subject_with_its_own_rhythm_keeps_it() -> None:
    shares = shrink_shares(drawn(MORNING, 2000), EVERYBODY + 2000 * MORNING[None, :], CONFIG)
    assert error(shares.share, np.tile(MORNING, (7, 1))) < 0.06


def test_a_weekday_with_its_own_rhythm_keeps_it() -> None:
    truth = np.tile(EVENING, (7, 1))
    truth[6] = MORNING
    counts = np.vstack([np.random.default_rng(3).multinomial(2000, row) for row in truth]).astype(float)
    shares = shrink_shares(counts, EVERYBODY + counts, CONFIG)
    # Six weekdays alike pull at the seventh; it may give way by a twentieth of the distance to them.
    assert error(shares.share[6:], truth[6:]) < 0.05 * error(truth[:1], truth[6:])


def test_rows_sum_to_one_even_for_a_weekday_without_sessions() -> None:
    counts = drawn(EVENING, 50)
    counts[5:] = 0
    everybody = EVERYBODY.copy()
    everybody[6] = 0
    shares = shrink_shares(counts, everybody, CONFIG)
    np.testing.assert_allclose(shares.share.sum(axis=1), 1.0)
    assert (shares.share >= 0).all()


def test_an_hour_nobody_ever_used_has_no_share() -> None:
    office = EVERYBODY.copy()
    office[:, :6] = 0
    counts = drawn(EVENING, 300)
    counts[:, :6] = 0
    assert (shrink_shares(counts, office, CONFIG).share[:, :6] == 0).all()


def test_newer_days_weigh_more_and_the_total_is_the_effective_one() -> None:
    weekday, hour = np.array([0, 0]), np.array([9, 10])
    counts = weighted_counts(weekday, hour, np.array([10.0, 10.0]), np.array([56.0, 0.0]), CONFIG)
    assert counts[0, 10] == 2 * counts[0, 9]
    # Weights 0.5 and 1 on ten sessions each: (5 + 10)^2 / (2.5 + 10) = 18 effective sessions.
    assert counts.sum() == 18.0
