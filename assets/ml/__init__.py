"""Predictions as assets: read features, call a pure engine, write ml tables."""
