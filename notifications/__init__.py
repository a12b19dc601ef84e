"""Pure speaking: messages, policy, rendering and the senders that carry them."""
