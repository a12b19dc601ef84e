"""What carries a message: the provider when a key is set, else an outbox folder that anybody can read."""

from notifications.senders.base import Receipt, Sender
from notifications.senders.choice import sender_for

__all__ = ["Receipt", "Sender", "sender_for"]
