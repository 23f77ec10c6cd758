"""Weights that other toolkits trained."""
