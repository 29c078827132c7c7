"""`python -m trainers` is the command `trainer`."""

from trainers.cli import main

if __name__ == "__main__":
    main()
