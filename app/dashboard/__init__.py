"""The Streamlit door: what the operations team looks at and acts from.

What belongs here: pages, charts, sign-in, and the questions asked of published marts. What does not: business
rules (dbt_project), lifecycles of alerts (data.operations), anything that writes the lake.
"""
