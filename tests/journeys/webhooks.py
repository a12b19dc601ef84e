"""Webhooks as a marketplace sends them, for journeys that start at the door."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import httpx

from app.mock_rails.announcements import Message, message_of
from app.mock_rails.by_hand import a_session
from app.mock_rails.webhooks import signed_headers
from data.secrets import webhook_secrets
from tests.reliability.deployment import Deployment


def a_tutor_who_always_came(deployment: Deployment) -> str:
    """Return a tutor whose first no-show it would be, so that no rule about repeated ones has a say."""
    with deployment.reader() as reader:
        found = reader.query(
            "select tutor_id from core.fct_sessions where tutor_id is not null group by tutor_id "
            "having count(*) filter (where status = 'tutor_no_show') = 0 order by count(*) desc, tutor_id limit 1"
        )
    return str(found.item())


def a_no_show(deployment: Deployment, session_id: str, *, tutor_id: str) -> Message:
    """Return the message about a session that ended a minute ago and whose tutor never came."""
    record = a_session(
        "tutor_no_show",
        session_id=session_id,
        tutor_id=tutor_id,
        student_id="cus_00001",
        now=deployment.now,
    )
    return message_of("session.completed", record, deployment.now)


def post(url: str, message: Message, *, secret: str) -> httpx.Response:
    """Post a message as the marketplace does. Signatures are judged by the machine's clock."""
    headers = signed_headers(message, secret=secret, sent_at=datetime.now(UTC))
    return httpx.post(url, content=message.body, headers=headers, trust_env=False, timeout=10)


def post_altered(url: str, message: Message, *, secret: str) -> httpx.Response:
    """Post a message whose body is not the one that was signed."""
    headers = signed_headers(message, secret=secret, sent_at=datetime.now(UTC))
    altered = dataclasses.replace(message, body=message.body.replace("session.completed", "session.updated"))
    return httpx.post(url, content=altered.body, headers=headers, trust_env=False, timeout=10)


def post_unsigned(url: str, message: Message) -> httpx.Response:
    """Post a message without a signature."""
    return httpx.post(url, content=message.body, trust_env=False, timeout=10)


def secret_of(deployment: Deployment) -> str:
    """Return the secret with which senders of a deployment sign."""
    return webhook_secrets(deployment.settings)[0]
