"""A tutor does not come: from the webhook to one alert and one mail, however often the news is told."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from assets.resources import House
from data.operations.tables import AlertEpisode
from orchestration.sensors import on_landed_messages, on_new_episodes
from tests.journeys.counting import Stock, stock_of
from tests.journeys.webhooks import (
    a_no_show,
    a_tutor_who_always_came,
    post,
    post_altered,
    post_unsigned,
    secret_of,
)
from tests.reliability.day import copy_of_the_day
from tests.reliability.deployment import Deployment

pytestmark = pytest.mark.slow

SESSION = "ses_journey_no_show"
KEY = f"tutor_no_show:session:{SESSION}"
LATEST_SECONDS = 30.0
"""The promise is five seconds on a machine of its own."""


@pytest.fixture(scope="module")
def deployment(day: Deployment) -> Iterator[Deployment]:
    with copy_of_the_day("no-show") as copy:
        yield copy


@pytest.fixture(scope="module")
def door(deployment: Deployment) -> Iterator[str]:
    with deployment.receiver() as url:
        yield url


def episodes_of(deployment: Deployment, key: str) -> list[AlertEpisode]:
    with deployment.operations.session() as session:
        found = list(session.scalars(sa.select(AlertEpisode).where(AlertEpisode.fingerprint == key)))
        session.expunge_all()
        return found


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LATEST_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {LATEST_SECONDS:g} s"
        time.sleep(0.05)


def sensed(sensor: dg.SensorDefinition, deployment: Deployment) -> dg.RunRequest | dg.SkipReason:
    """Return what a sensor asks for when it looks at the deployment."""
    house = House(deployment.settings, deployment.clock)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance, resources={"house": house})
        answer = sensor(context)
    assert isinstance(answer, dg.RunRequest | dg.SkipReason)
    return answer


def files_below(folder: Path) -> set[Path]:
    return {file for file in folder.rglob("*") if file.is_file()}


def without_the_news(stock: Stock) -> tuple[object, ...]:
    return stock.versions, stock.episodes, stock.opened, stock.mails, stock.mail_files


def test_a_message_that_is_unsigned_or_altered_is_refused_and_leaves_no_trace(
    deployment: Deployment, door: str
) -> None:
    before, files = stock_of(deployment), files_below(deployment.settings.landing_path)
    message = a_no_show(deployment, SESSION, tutor_id=a_tutor_who_always_came(deployment))
    answers = [post_unsigned(door, message), post_altered(door, message, secret=secret_of(deployment))]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert files_below(deployment.settings.landing_path) == files
    assert isinstance(sensed(on_landed_messages, deployment), dg.SkipReason)
    assert without_the_news(stock_of(deployment)) == without_the_news(before)


def test_a_no_show_becomes_one_alert_and_one_mail_however_often_it_is_told(
    deployment: Deployment, door: str
) -> None:
    before = stock_of(deployment)
    tutor, secret = a_tutor_who_always_came(deployment), secret_of(deployment)
    message = a_no_show(deployment, SESSION, tutor_id=tutor)

    answer = post(door, message, secret=secret)
    assert answer.status_code == 202
    assert deployment.landing.waiting() == [message.message_id]
    wait_for(lambda: bool(episodes_of(deployment, KEY)), "the alert")
    (opened,) = episodes_of(deployment, KEY)
    assert (opened.status, opened.severity, opened.tutor_id) == ("open", "critical", tutor)
    assert opened.publication_id is None, "nothing was published yet: the receiver saw the webhook alone"

    assert isinstance(sensed(on_new_episodes, deployment), dg.RunRequest)
    deployment.chalkline("run", "announce")
    told = stock_of(deployment)
    assert (told.mails - before.mails).total() == 1
    ((kind, recipient, _),) = (told.mails - before.mails).elements()
    assert kind == "alert"
    assert recipient.startswith("coach.")
    assert len(told.mail_files - before.mail_files) == 1

    again = [post(door, message, secret=secret) for _ in range(2)]
    assert [answer.status_code for answer in again] == [200, 200]
    assert deployment.landing.waiting() == [message.message_id]

    request = sensed(on_landed_messages, deployment)
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == deployment.today.isoformat()
    with deployment.marketplace():
        deployment.chalkline("run", "fast")
    (still,) = episodes_of(deployment, KEY)
    assert still.episode_id == opened.episode_id
    assert (still.status, still.severity, still.evidence) == ("open", "critical", opened.evidence)
    taken_in = stock_of(deployment)
    assert len(taken_in.versions - before.versions) == 1
    assert (taken_in.episodes - told.episodes, taken_in.opened) == (Counter(), told.opened)
    assert told.opened == before.opened + 1
    assert (taken_in.mails, taken_in.mail_files) == (told.mails, told.mail_files)
    with deployment.reader() as reader:
        row = reader.query(f"select source, status from core.fct_sessions where session_id = '{SESSION}'")
    assert row.rows() == [("rails.webhook", "tutor_no_show")]

    assert post(door, message, secret=secret).status_code == 200
    assert deployment.landing.waiting() == []
    assert isinstance(sensed(on_landed_messages, deployment), dg.SkipReason)
    assert isinstance(sensed(on_new_episodes, deployment), dg.SkipReason)
    assert without_the_news(stock_of(deployment)) == without_the_news(taken_in)
