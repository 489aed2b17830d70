"""The inference runtimes of the machine this process runs on."""
