"""Scores: plain functions from predictions and references to numbers. They know no model."""
