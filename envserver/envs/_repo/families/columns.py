"""Text in lines and columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from envserver.envs._repo.project import Check, Family

__all__ = ["Columns"]


class Columns(Family):
    """Words, paragraphs, tables."""

    names = {
        "columns": ("columns", "textkit", "layout", "typeset"),
        "paragraphs": ("paragraphs", "blocks", "flow"),
        "grid": ("grid", "table", "cells_text"),
        "wrap": ("wrap", "fold", "fill_lines"),
        "clip": ("clip", "shorten", "truncate"),
        "slug": ("slug", "slugify", "file_name"),
        "titled": ("titled", "as_title", "headline"),
        "justify": ("justify", "spread_words", "stretch"),
        "indent": ("indent", "shift_right", "nest"),
    }
    constants = {"WIDTH": (32, 36, 40, 48), "WIDEST": (16, 18, 20, 24)}

    def checks(self, rng: Random, constants: Mapping[str, Any]) -> Iterator[Check]:
        pool = ["river", "stone", "of", "a", "mountain", "the", "cloud", "and", "lantern", "to", "ember", "orchard"]
        some = [rng.choice(pool) for _ in range(14)]
        text = " ".join(some)
        w = rng.randint(12, 20)
        long = rng.choice(["counterrevolution", "incomprehensible", "electromagnetism"])
        yield Check(
            "words",
            "a text that fits is not clipped",
            f'[clip("{long}", {len(long)}), clip("{long}", {len(long) + 1})]',
        )
        yield Check("words", "a text is clipped to the width, with the mark", f'clip("{long}", {len(long) - 4})')
        yield Check(
            "words",
            "a text is clipped in the middle where that is asked for",
            f'[clip("{long}", {len(long) - 5}, middle=True), clip("{long}", {len(long) - 4}, True)]',
        )
        yield Check(
            "words",
            "a width without room for more than the mark gets the text's beginning",
            f'[clip("{long}", 3), clip("{long}", 2), clip("{long}", 4)]',
        )
        yield Check(
            "words", "a slug has lower-case words with one dash between", f'slug("  The {some[4].upper()}, {long}! ")'
        )
        yield Check(
            "words",
            "a slug is not longer than told and ends in no dash",
            f'[slug("{some[0]} {long} x", {len(some[0]) + 1}), slug("{long} {long} {long}")]',
        )
        yield Check("words", "a slug keeps digits and drops all signs", f'slug("{some[0]}_{w}%--{some[1]}")')
        yield Check(
            "words", "a title has small words in between without a capital", f'titled("the {long} of the ember")'
        )
        yield Check(
            "words",
            "the first and the last word of a title have a capital",
            f'[titled("of {some[0]} and to"), titled("a"), titled("the of")]',
        )
        yield Check("words", "capitals inside a word of a title stay", 'titled("myTool AND the McRiver")')
        yield Check("paragraphs", "lines are as long as fits", f'wrap("{text}", {w})')
        yield Check("paragraphs", "a line may be exactly as long as the width", 'wrap("stone cloud ember", 11)')
        yield Check(
            "paragraphs", "a text is wrapped to the README's width where none is given", f'wrap("{text} {text}")'
        )
        yield Check(
            "paragraphs",
            "the first line and the others begin as told",
            f'wrap("{text}", {w + 4}, first="* ", rest="  ")',
        )
        yield Check("paragraphs", "a word that is longer than a line is cut", f'wrap("ember {long} a", 8)')
        yield Check(
            "paragraphs",
            "a long word is cut behind what lines begin with, too",
            f'wrap("{long}", 9, first="> ", rest="| ")',
        )
        yield Check("paragraphs", "no room raises ValueError", 'wrap("a", 4, rest="....")')
        yield Check("paragraphs", "no words give no line", 'wrap("   ")')
        yield Check(
            "paragraphs",
            "a justified line fills the width, wider gaps first",
            f'[justify("stone to cloud ember", {w + 9}), justify("a of the", {w})]',
        )
        yield Check("paragraphs", "gaps of a justified line are alike where they can be", 'justify("a b c", 9)')
        yield Check("paragraphs", "one word is not justified", f'justify("  {long} ", 30)')
        yield Check(
            "paragraphs", "what does not fit the width is set with single spaces", 'justify("stone   cloud", 6)'
        )
        yield Check("paragraphs", "a line that just fits has single spaces", 'justify("stone  cloud ember", 17)')
        yield Check("paragraphs", "every line is indented by two unless told otherwise", 'indent("a\\n b\\nc")')
        yield Check("paragraphs", "empty lines stay empty when indented", f'indent("a\\n   \\n\\nb", {w % 5 + 1})')
        yield Check("paragraphs", "the first line can be left where it is", 'indent("a\\nb\\nc", 3, skip_first=True)')
        n = rng.randint(100, 999)
        rows = f'[["{some[0]}", {n}], ["{long}", {w}]]'
        yield Check("grid", "columns are as wide as their widest cell", f"grid({rows})")
        yield Check("grid", "columns are aligned as told", f'grid({rows}, align="rl") + grid({rows}, align="lr")')
        yield Check(
            "grid",
            "a centred cell stands to the left where it cannot be centred",
            'grid([["abcdef", 1], ["abc", 2], ["ab", 3]], align="cr")',
        )
        yield Check("grid", "a header is followed by dashes", f'grid({rows}, header=["name", "n"])')
        yield Check("grid", "short rows are filled up", f'grid([["{some[0]}"], ["a", "b", {n}]], header=["x", "y"])')
        yield Check("grid", "lines have no space at their end", 'grid([["a", "bbb"], ["c", ""]])')
        yield Check("grid", "wide cells are clipped", f'grid([["{long}", 1]], widest=8)')
        yield Check("grid", "cells are at most as wide as the README says", f'grid([["{long}{long}", 1]])')
        yield Check(
            "grid", "no rows give no lines, a header alone gives two", '[grid([]), grid([], header=["ab", "c"])]'
        )
