"""The rooms behind `envserver/envs/textworld.py`: keys, making, the disk cache, games in memory, commands."""
