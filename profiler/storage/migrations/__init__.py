"""How the schema of the store changes from version to version."""
