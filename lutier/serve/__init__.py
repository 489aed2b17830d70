"""The store in a browser: devices, tables, runs, and what differs between two tables."""
