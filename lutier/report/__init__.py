"""The report: results and what they rest on, as one page that needs nothing else."""
