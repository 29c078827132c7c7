"""Which event leads from which state to which."""

ANY = "*"


class Rules:
    """Transitions; one from a named state comes before one from any."""

    def __init__(self, start):
        self.start = start
        self._steps = {}
        self._final = set()

    def allow(self, event, source, target, role=None):
        """Let an event lead from one state to another, for one role where one is named."""
        key = (source, event)
        if key in self._steps:
            raise ValueError(f"{event} from {source} is there already")
        self._steps[key] = {"target": target, "role": role}
        return self

    def finish(self, *states):
        """Mark states that nothing leads out of, whatever is allowed from any."""
        self._final.update(states)
        return self

    def is_final(self, state):
        """Whether a state is marked so."""
        return state in self._final

    def step(self, state, event):
        """The transition, or None."""
        if self.is_final(state):
            return None
        return self._steps.get((state, event)) or self._steps.get((ANY, event))

    def events(self, state, role=None):
        """Events that are possible for a role, in order."""
        found = set()
        for source, event in self._steps:
            if source in (state, ANY):
                step = self.step(state, event)
                if step is not None and step["role"] in (None, role):
                    found.add(event)
        return sorted(found)

    def states(self):
        """All states that are named, in order."""
        found = {self.start, *self._final}
        for (source, _), step in self._steps.items():
            found.add(step["target"])
            if source != ANY:
                found.add(source)
        return sorted(found)

    def unreachable(self):
        """States that no way leads to from the start, in order."""
        seen = {self.start}
        waiting = [self.start]
        while waiting:
            state = waiting.pop()
            for (source, event), _ in self._steps.items():
                if source in (state, ANY):
                    step = self.step(state, event)
                    if step is not None and step["target"] not in seen:
                        seen.add(step["target"])
                        waiting.append(step["target"])
        return [state for state in self.states() if state not in seen]
