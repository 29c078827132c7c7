"""The programs behind `tooluse`."""
