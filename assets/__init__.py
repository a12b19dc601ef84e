"""What exists, in Python: ingestion, transformation, prediction, publication and action as Dagster assets."""
