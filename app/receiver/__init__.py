"""The door for webhooks: verify, keep durably, answer, then judge the one session. No history, no lake writes."""
