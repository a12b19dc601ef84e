"""Demand forecasting: how many sessions each subject will be asked for, hour by hour, and how sure we are.

Here: engines, sample paths, supply against demand, accuracy. Not here: reading or writing tables, choosing
the champion, alert thresholds (rulebook), the definition of demand (dbt).
"""
