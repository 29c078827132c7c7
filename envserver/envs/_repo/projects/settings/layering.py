"""Settings put over each other."""

DEPTH = 5


class Layered:
    """Layers of sections; of each setting the one of the topmost layer counts."""

    def __init__(self, *layers):
        """The first layer is the lowest."""
        self.layers = [{name: dict(values) for name, values in layer.items()} for layer in layers]

    def get(self, section, name, default=None):
        """A value, with `${name}` of the same section or `${section.name}` put in."""
        raw = self._raw(section, name)
        return default if raw is None else self._filled(section, raw, 0)

    def over(self, layer):
        """The same with another layer on top; this one stays as it is."""
        return Layered(*self.layers, layer)

    def section(self, section):
        """All settings of a section, of all layers."""
        names = {name for layer in self.layers for name in layer.get(section, {})}
        return {name: self.get(section, name) for name in sorted(names)}

    def origin(self, section, name):
        """The number of the layer a setting comes from, the lowest being 0; None where there is none."""
        for at in range(len(self.layers) - 1, -1, -1):
            if name in self.layers[at].get(section, {}):
                return at
        return None

    def _raw(self, section, name):
        at = self.origin(section, name)
        return None if at is None else self.layers[at][section][name]

    def _filled(self, section, text, depth):
        """Raises ValueError for a reference to nothing, and for a circle."""
        if depth > DEPTH:
            raise ValueError("references go in a circle")
        before, dollar, rest = text.partition("${")
        if not dollar:
            return text
        inner, closed, after = rest.partition("}")
        if not closed:
            return text
        place, dot, name = inner.rpartition(".")
        target = place if dot else section
        raw = self._raw(target, name)
        if raw is None:
            raise ValueError(f"nothing is called {inner}")
        return before + self._filled(target, raw, depth + 1) + self._filled(section, after, depth)


def flatten(tree, separator=".", prefix=""):
    """A dict of dicts as one dict with joined names, in order; an empty dict stays as a value."""
    found = {}
    for name, value in sorted(tree.items()):
        joined = f"{prefix}{separator}{name}" if prefix else name
        if isinstance(value, dict) and value:
            found.update(flatten(value, separator, joined))
        else:
            found[joined] = value
    return found
