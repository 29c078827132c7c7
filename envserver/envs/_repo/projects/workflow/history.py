"""What has happened."""

KEEP = 6


class History:
    """The last changes, the oldest first."""

    def __init__(self, keep=KEEP):
        self.keep = keep
        self.forgotten = 0
        self._changes = []

    def note(self, old, event, new):
        """Keep a change; the oldest is forgotten where there are too many."""
        self._changes.append({"old": old, "event": event, "new": new})
        if len(self._changes) > self.keep:
            self._changes.pop(0)
            self.forgotten += 1

    def pop(self):
        """Take the last change out; None where there is none."""
        return self._changes.pop() if self._changes else None

    def events(self):
        """Events in their order."""
        return [change["event"] for change in self._changes]

    def path(self):
        """States that were passed, the first and the last among them."""
        if not self._changes:
            return []
        return [self._changes[0]["old"]] + [change["new"] for change in self._changes]

    def count(self, event=None):
        """How often an event is kept, or how many events are."""
        return sum(1 for change in self._changes if event is None or change["event"] == event)

    def last(self, event):
        """The state an event last led to; None where it is not kept."""
        for change in reversed(self._changes):
            if change["event"] == event:
                return change["new"]
        return None
