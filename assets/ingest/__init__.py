"""How records come in: pulls from the API, webhook messages, files. All end in data.lake.intake.

What belongs here: reaching a source and handing on its records. What does not: judging or storing them (data).
"""
