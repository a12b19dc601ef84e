"""The door for questions: what is published, as JSON, for whoever has a key with the scope read. Writes nothing."""
