"""repo: what its tools answer to calls that cannot be made, to odd files and to too much."""

from __future__ import annotations

import pytest
from repos import begun, call

from envserver import Action
from envserver.envs._repo.tree import FILE_BYTES, SHOWN_CHARS, Tree
from envserver.sandboxes.base import DEFAULT, load_backend

pytestmark = pytest.mark.skipif(
    not load_backend(DEFAULT).probe().available, reason=f"this host cannot run the sandbox '{DEFAULT}'"
)


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (Action(text="ls"), "Call a tool: ls, read, search, edit, write, run_tests, submit."),
        (call("fly"), "There is no tool 'fly'; there are: ls, read, search, edit, write, run_tests, submit."),
        (call("_judged"), "There is no tool '_judged'"),
        (call("read"), "read needs path, a string."),
        (call("read", path=3), "path of read must be a string, not an integer."),
        (call("read", path="README.md", start=0), "The file has "),
        (call("read", path="README.md", start=True), "start of read must be an integer, not a boolean."),
        (call("read", path="README.md", start=10**6), "The file has "),
        (call("read", path="README.md", self=1), "read takes no 'self'; it takes path, start, end."),
        (call("read", path="tests"), "'tests' is a directory; use ls."),
        (call("read", path="../README.md"), "A path has no '..'; it is relative to the repository."),
        (call("read", path="/etc/passwd"), "A path is relative to the repository, with '/' between names."),
        (call("read", path="~/x"), "A path is relative to the repository"),
        (call("read", path="a\0b"), "A path is one line of at most 200 printable characters."),
        (call("read", path="x" * 300), "A path is one line of at most 200 printable characters."),
        (call("ls", path="nothing"), "There is no directory 'nothing'."),
        (call("search", text=""), "Give a text of one line to search for."),
        (call("search", text="no such words"), "Nothing found."),
        (call("edit", path="README.md", new="x"), "Say what to replace"),
        (call("edit", path="README.md", new="x", old="# ", start=1), "Say what to replace"),
        (call("edit", path="README.md", new="x", old="no such words"), "The text to replace is not in the file."),
        (call("edit", path="README.md", new="x", old=" "), "occurs "),
        (call("edit", path="README.md", new="x", old=""), "old is empty; use write."),
        (call("edit", path="README.md", new="x", start=3, end=2), "The file has "),
        (call("edit", path="none.py", new="x", start=1), "There is no file 'none.py'."),
        (call("write", path="../x.py", text=""), "A path has no '..'"),
        (call("write", path="", text=""), "Name a file."),
        (call("write", path="tests", text=""), "A directory and a file cannot have one name."),
        (call("write", path="README.md/x", text=""), "A directory and a file cannot have one name."),
        (call("write", path="x", text="\ud800"), "The text holds half a character."),
        (call("write", path="x", text="a\0"), "The text holds a NUL byte."),
        (call("write", path="x", text="x" * (FILE_BYTES + 1)), "The file would hold 262145 bytes"),
    ],
)
def test_a_call_that_cannot_be_made_is_answered_and_changes_nothing(action, says):
    world, _ = begun()
    result = world.step(action)
    assert says in result.observation.text
    assert (result.over, result.reward, world.steps, world.tree.written) == (False, 0.0, 1, {})


def test_a_tree_reads_edits_and_searches():
    tree = Tree({"a/b.py": b"one\ntwo\nthree\ntwo\n", "c.bin": b"\xff\x00", "empty": b""})
    assert tree.ls() == "a/\nc.bin\nempty"
    assert tree.ls("./a/") == "b.py"
    assert tree.read("a//b.py", 2, 3) == "   2  two\n   3  three"
    assert tree.read("c.bin") == "A binary file of 2 bytes."
    assert tree.read("empty") == "The file is empty."
    assert tree.search("two") == "a/b.py:2: two\na/b.py:4: two"
    assert tree.edit("a/b.py", "2", old="two") == (
        "The text to replace occurs 2 times; give more of the lines around it. Nothing was changed."
    )
    assert tree.edit("a/b.py", "2", start=2).startswith("Changed. It reads:\n")
    assert tree.get("a/b.py") == b"one\n2\nthree\ntwo\n"
    tree.edit("a/b.py", "", start=3, end=4)
    tree.edit("a/b.py", "1\n", old="one\n")
    assert tree.get("a/b.py") == b"1\n2\n"
    twin = tree.copy()
    twin.write("d", "x")
    assert tree.get("d") is None
    assert tree.base["a/b.py"].startswith(b"one")


def test_what_is_long_is_cut_with_a_note_and_what_is_much_is_refused():
    tree = Tree({"long": b"x" * 100_000, "lines": b"".join(b"%d\n" % at for at in range(1000))})
    shown_text = tree.read("long")
    assert len(shown_text) < SHOWN_CHARS + 100
    assert "characters are left out" in shown_text
    assert tree.read("lines").endswith("(600 more lines; read on from line 401)")
    assert tree.search("1", "lines").endswith("(211 more; search in a directory or for more)")
    for at in range(16):
        assert "Written" in tree.write(f"f{at}", "x" * FILE_BYTES)
    assert tree.write("g", "x") == "Too much was written already. Nothing was changed."
    assert "Replaced" in tree.write("f0", "x")
