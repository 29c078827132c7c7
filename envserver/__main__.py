"""`python -m envserver`: the command line."""

from envserver.cli import main

if __name__ == "__main__":
    main()
