"""The operations store: what somebody decided, in Postgres. Episodes, outbox, publications, people, audit.

What belongs here: tables, migrations and small services over one session. `store.py` is the door.
What does not: anything observed (the lake holds it), the wording of mail (notifications), the clock.
"""
