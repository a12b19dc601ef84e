"""Which sender this deployment uses.

What belongs here: the choice, by whether there is a key. What does not: reading settings (the caller does).
"""

from pathlib import Path

from notifications.senders.base import Sender
from notifications.senders.file_outbox import FileSender
from notifications.senders.resend_api import ResendSender


def sender_for(resend_api_key: str | None, outbox_path: Path, mail_from: str) -> Sender:
    """Return the provider's sender when there is a key, else the one that writes into the outbox folder."""
    if resend_api_key:
        return ResendSender(resend_api_key, mail_from)
    return FileSender(outbox_path, mail_from)
