"""The sources that repositories are drawn from, a directory a family; nothing imports them here."""
