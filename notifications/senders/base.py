"""The shape of a sender, and what it answers.

What belongs here: the contract. What does not: retrying and giving up (the outbox decides from the receipt).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from notifications.message import Message


@dataclass(frozen=True)
class Receipt:
    """What became of a message.

    sent: taken. passing: turned away for now, certainly not taken. permanent: will never be taken.
    unknown: it may have been taken; repeat it only under the same key.
    """

    outcome: Literal["sent", "passing", "permanent", "unknown"]
    provider_id: str | None = None
    detail: str | None = None
    retry_after_seconds: float | None = None


class Sender(ABC):
    """Carries one message at a time. Sending a message twice under one key delivers it once."""

    @property
    @abstractmethod
    def name(self) -> str:
        """How this sender is called on pages and in logs."""

    @abstractmethod
    def send(self, message: Message) -> Receipt:
        """Carry a message and say what became of it. A refusal is a receipt, not an exception."""
