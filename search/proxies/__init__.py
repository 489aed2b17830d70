"""Scores of networks before training."""
