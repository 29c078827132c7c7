"""The commands of `skills`, by what they do to the library; `skills_db/cli.py` puts them on the command line."""
