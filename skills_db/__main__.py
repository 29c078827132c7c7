"""`python -m skills_db` is the command `skills`."""

from skills_db.cli import main

main()
