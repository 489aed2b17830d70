"""Strategies that spend a number of trainings on networks within a latency budget."""
