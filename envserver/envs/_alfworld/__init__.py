"""The rooms behind `envserver/envs/alfworld.py`: rows, problems, both engines, the oracle, games and their keys."""
