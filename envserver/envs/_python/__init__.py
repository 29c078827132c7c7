"""The problems behind `python`, and how they are judged."""
