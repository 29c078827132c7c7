"""One thing on its way."""

from .history import History


class Refused(ValueError):
    """Raised for an event that is not possible."""


class Machine:
    """The state of one thing, and how it came to be."""

    def __init__(self, rules, keep=None):
        self.rules = rules
        self.state = rules.start
        self.history = History(keep) if keep is not None else History()
        self._watchers = []

    def watch(self, call, state=None):
        """Call with (old, event, new) on each change, or on changes to one state."""
        self._watchers.append((state, call))

    def can(self, event, role=None):
        """Whether the event is possible for a role."""
        return event in self.rules.events(self.state, role)

    def fire(self, event, role=None):
        """Let an event happen; returns the state. Raises Refused, and nothing has changed then."""
        if not self.can(event, role):
            raise Refused(f"{event} is not possible in {self.state}")
        old = self.state
        self.state = self.rules.step(old, event)["target"]
        self.history.note(old, event, self.state)
        for state, call in list(self._watchers):
            if state is None or state == self.state:
                call(old, event, self.state)
        return self.state

    def run(self, events, role=None):
        """Let events happen until one is refused; how many did."""
        done = 0
        for event in events:
            try:
                self.fire(event, role)
            except Refused:
                break
            done += 1
        return done

    def undo(self):
        """Go back to before the last event; whether there was one."""
        last = self.history.pop()
        if last is None:
            return False
        self.state = last["old"]
        return True

    def done(self):
        """Whether nothing can happen any more."""
        return self.rules.is_final(self.state)
