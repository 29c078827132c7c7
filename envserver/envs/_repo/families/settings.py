"""Settings in text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from envserver.envs._repo.project import Check, Family

__all__ = ["Settings"]


class Settings(Family):
    """A reader, typed values, layers."""

    names = {
        "settings": ("settings", "config", "options_file", "preferences"),
        "reading": ("reading", "loader", "textform"),
        "typed": ("typed", "values", "convert"),
        "layering": ("layering", "overlay", "merging"),
        "Layered": ("Layered", "Stacked", "Overlay"),
        "SettingsError": ("SettingsError", "BadLine", "ConfigError"),
        "boolean": ("boolean", "as_bool", "truth"),
        "duration": ("duration", "seconds_of", "as_seconds"),
        "size": ("size", "bytes_of", "as_bytes"),
        "flatten": ("flatten", "flat", "joined_names"),
        "origin": ("origin", "layer_of", "source_of"),
    }
    constants = {"DEPTH": (4, 5, 6, 8)}

    def checks(self, rng: Random, constants: Mapping[str, Any]) -> Iterator[Check]:
        s, t = rng.sample(["server", "client", "paths", "limits", "mail"], 2)
        a, b, c = rng.sample(["host", "port", "user", "root", "name", "mode"], 3)
        x, y = rng.randint(2, 50), rng.randint(2, 50)
        depth = constants["DEPTH"]
        yield Check(
            "reading",
            "names belong to the section above them",
            f'read("[{s}]\\n{a} = {x}\\n{b}={y}\\n[ {t} ]\\n{a} = z")',
        )
        yield Check(
            "reading",
            "what stands before a section is in the section without a name",
            f'read("{a} = {x}\\n\\n[{s}]\\n")',
        )
        yield Check("reading", "names are lower-cased and values are not", f'read("{a.upper()} = {b.upper()}")')
        yield Check(
            "reading",
            "comments are left out, also behind values",
            f'read("# {a} = 1\\n{b} = {x}  # more\\n   # indented\\n{c} = {y}")',
        )
        yield Check("reading", "a comment's sign in quotes is none", f"""read('{a} = "#{x} # {y}"  # but this')""")
        yield Check(
            "reading", "quotes keep the space inside them", f"""read('{a} = "  {x} "\\n{b} = "{y}"\\n{c} = "')"""
        )
        yield Check("reading", "a value may be empty and may hold equals signs", f'read("{a} =\\n{b} = {x}={y}")')
        yield Check(
            "reading",
            "an indented line goes on with the value",
            f'read("[{s}]\\n{a} = one\\n   two\\n\\tthree\\n{b} = {x}")',
        )
        yield Check(
            "reading", "a section that comes again goes on", f'read("[{s}]\\n{a} = {x}\\n[{t}]\\n[{s}]\\n{b} = {y}")'
        )
        yield Check("reading", "the later of two values counts", f'read("{a} = {x}\\n{a} = {y + 50}")')
        yield Check("reading", "a line that is no setting raises SettingsError", f'read("[{s}]\\n{a}")')
        yield Check("reading", "a line without a name raises SettingsError", f'read("{a} = 1\\n = {x}")')
        yield Check(
            "reading",
            "an error tells the line's number",
            f'try:\n    read("{a} = {x}\\n\\nnothing")\n    said = ""\nexcept SettingsError as error:\n    said = str(error)\nsaid',
        )
        yield Check(
            "reading",
            "settings are written in order",
            f'write({{"{t}": {{"{b}": "{x}", "{a}": "z"}}, "": {{"{c}": "{y}"}}}})',
        )
        yield Check(
            "reading",
            "values that need quotes get them when written",
            f'write({{"": {{"{a}": " {x}", "{b}": "", "{c}": "a#b"}}}})',
        )
        yield Check(
            "reading",
            "what is written reads the same",
            f'd = {{"": {{"{a}": "{x} "}}, "{s}": {{"{b}": "#{y}", "{c}": "p q"}}}}\nread(write(d)) == d',
        )
        yield Check(
            "typed",
            "words for yes and no are known, in any case",
            '[boolean(one) for one in ("yes", " ON ", "1", "True", "no", "off", "0", "FALSE")]',
        )
        yield Check("typed", "what is neither yes nor no raises ValueError", 'boolean("maybe")')
        yield Check(
            "typed",
            "durations add up their parts",
            f'[duration("{x % 9 + 1}h{y}m"), duration("1d 2h"), duration("{x}m {y}s")]',
        )
        yield Check(
            "typed", "a number without a unit is seconds", f'[duration("{x}"), duration("2m{y}"), duration(" {y}S ")]'
        )
        for bad in ("", "h", f"{x}x", f"{x}mh"):
            yield Check("typed", "what is no duration raises ValueError", f'duration("{bad}")')
        yield Check(
            "typed", "units of sizes are powers of 1024", f'[size("{x}"), size("{x}k"), size("{y} MB"), size("1g")]'
        )
        yield Check("typed", "a size may have a point and a b", f'[size("1.5k"), size("{y}b"), size("0.5 MB")]')
        for bad in ("", "k", "1.2.3k", f"{x}q", "-1"):
            yield Check("typed", "what is no size raises ValueError", f'size("{bad}")')
        yield Check("typed", "a list has no space and no empty parts", f'words(" {a} , ,{b},")')
        yield Check("typed", "a list may have another separator", f'words("{a} ; {b},{c}", ";")')
        yield Check("typed", "the rest of a list is in its last part", f'words("{a},{b},{c}", most=2)')
        low = f'{{"{s}": {{"{a}": "{x}", "{b}": "low"}}, "{t}": {{"{c}": "far"}}}}'
        high = f'{{"{s}": {{"{b}": "high"}}}}'
        lay = f"l = Layered({low}, {high})\n"
        yield Check(
            "layering",
            "the topmost layer counts",
            f'{lay}[l.get("{s}", "{b}"), l.get("{s}", "{a}"), l.get("{t}", "{c}")]',
        )
        yield Check(
            "layering",
            "a default stands for what is in no layer",
            f'{lay}[l.get("{s}", "none"), l.get("none", "{a}", {x})]',
        )
        yield Check(
            "layering",
            "the layer that counts is told",
            f'{lay}[l.origin("{s}", "{b}"), l.origin("{s}", "{a}"), l.origin("{s}", "none")]',
        )
        yield Check(
            "layering", "a section has the settings of all layers", f'{lay}[l.section("{s}"), l.section("none")]'
        )
        yield Check(
            "layering",
            "another layer on top leaves the first as it was",
            f'{lay}m = l.over({{"{s}": {{"{a}": "top"}}}})\n[m.get("{s}", "{a}"), m.get("{s}", "{b}"), l.get("{s}", "{a}"), m.origin("{s}", "{a}")]',
        )
        yield Check(
            "layering",
            "changing what it was made of changes nothing",
            f'd = {{"{s}": {{"{a}": "1"}}}}\nl = Layered(d)\nd["{s}"]["{a}"] = "2"\nd["{t}"] = {{}}\nl.get("{s}", "{a}")',
        )
        yield Check(
            "layering",
            "a reference stands for a setting of the section",
            f"""l = Layered({{"{s}": {{"{a}": "{x}", "{b}": "a${{{a}}}b${{{a}}}"}}}})\nl.get("{s}", "{b}")""",
        )
        yield Check(
            "layering",
            "a reference may name another section",
            f"""l = Layered({{"{s}": {{"{a}": "at ${{{t}.{c}}}!"}}, "{t}": {{"{c}": "${{{b}}}", "{b}": "{y}"}}}})\nl.get("{s}", "{a}")""",
        )
        yield Check(
            "layering",
            "a reference takes the topmost layer, too",
            f"""l = Layered({{"{s}": {{"{a}": "1", "{b}": "=${{{a}}}"}}}}, {{"{s}": {{"{a}": "{x}"}}}})\nl.get("{s}", "{b}")""",
        )
        yield Check(
            "layering",
            "a reference to nothing raises ValueError",
            f"""Layered({{"{s}": {{"{a}": "${{{b}}}"}}}}).get("{s}", "{a}")""",
        )
        yield Check(
            "layering",
            "references in a circle raise ValueError",
            f"""Layered({{"{s}": {{"{a}": "${{{b}}}", "{b}": "${{{a}}}"}}}}).get("{s}", "{a}")""",
        )
        yield Check(
            "layering",
            "a reference that is not closed is text",
            f"""Layered({{"{s}": {{"{a}": "x${{{b}"}}}}).get("{s}", "{a}")""",
        )
        yield Check(
            "layering",
            "references go as deep as the README says",
            f"""Layered({{"": {{f"v{{at}}": f"${{{{v{{at + 1}}}}}}" for at in range({depth})}} | {{"v{depth}": "end"}}}}).get("", "v0")""",
        )
        yield Check(
            "layering",
            "nested names are joined, in order",
            f'list(flatten({{"{s}": {{"{b}": {x}, "{a}": {{"z": {y}}}}}, "{t}": 1}}).items())',
        )
        yield Check(
            "layering",
            "names can be joined by another sign, behind a prefix",
            f'flatten({{"{s}": {{"{a}": {x}}}}}, "/", "top")',
        )
        yield Check("layering", "an empty dict stays as a value", f'flatten({{"{s}": {{}}, "{t}": {{"{a}": None}}}})')
