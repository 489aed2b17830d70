"""``python -m lutier``."""

from lutier.cli.main import main

if __name__ == "__main__":
    main()
