"""Things that go from state to state, by rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from envserver.envs._repo.project import Check, Family

__all__ = ["Workflow"]


class Workflow(Family):
    """Rules, a machine, a history."""

    names = {
        "workflow": ("workflow", "lifecycle", "stages", "procedures"),
        "Rules": ("Rules", "Transitions", "Chart"),
        "rules": ("rules", "transitions", "chart"),
        "Machine": ("Machine", "Process", "Case"),
        "machine": ("machine", "process_run", "case_file"),
        "History": ("History", "Log", "Trail"),
        "history": ("history", "log_book", "trail"),
        "Refused": ("Refused", "NotAllowed", "Impossible"),
        "fire": ("fire", "trigger", "send"),
        "allow": ("allow", "add_step", "permit"),
        "undo": ("undo", "step_back", "revert"),
    }
    constants = {"KEEP": (4, 5, 6, 8)}

    def checks(self, rng: Random, constants: Mapping[str, Any]) -> Iterator[Check]:
        open_, send, close_, reopen = rng.choice(
            [
                ("new", "submit", "approve", "reject"),
                ("draft", "review", "publish", "retract"),
                ("idle", "start", "finish", "pause"),
            ]
        )
        keep = constants["KEEP"]
        r = f'r = Rules("{open_}")\nr.allow("{send}", "{open_}", "waiting")\nr.allow("{close_}", "waiting", "closed", role="boss")\nr.allow("{reopen}", "waiting", "{open_}")\nr.allow("cancel", "*", "void")\nr.finish("closed", "void")\n'
        m = r + "m = Machine(r)\n"
        yield Check(
            "rules",
            "a step leads where it was allowed to",
            f'{r}[r.step("{open_}", "{send}")["target"], r.step("waiting", "{close_}")["role"], r.step("{open_}", "{close_}")]',
        )
        yield Check(
            "rules",
            "a step from any state is possible in each",
            f'{r}[r.step("{open_}", "cancel")["target"], r.step("waiting", "cancel")["target"]]',
        )
        yield Check(
            "rules",
            "nothing leads out of a final state",
            f'{r}[r.step("closed", "cancel"), r.events("void"), r.is_final("closed"), r.is_final("waiting")]',
        )
        yield Check(
            "rules",
            "a step from a named state comes before one from any",
            f'{r}r.allow("cancel", "waiting", "{open_}")\n[r.step("waiting", "cancel")["target"], r.step("{open_}", "cancel")["target"]]',
        )
        yield Check(
            "rules",
            "the same event twice from one state raises ValueError",
            f'{r}r.allow("{send}", "{open_}", "closed")',
        )
        yield Check(
            "rules",
            "one event may lead on from two states",
            f'{r}r.allow("{send}", "waiting", "closed")\nr.events("waiting", "boss")',
        )
        yield Check(
            "rules", "events without a role are for all, in order", f'{r}[r.events("{open_}"), r.events("waiting")]'
        )
        yield Check(
            "rules",
            "events of a role are for that role alone",
            f'{r}[r.events("waiting", "boss"), r.events("waiting", "clerk")]',
        )
        yield Check("rules", "all named states are listed, and any is none", f"{r}r.states()")
        yield Check(
            "rules",
            "states without a way to them are unreachable",
            f'{r}r.allow("{send}", "lost", "closed")\nr.finish("limbo")\nr.unreachable()',
        )
        yield Check(
            "rules",
            "what is reached over several steps is reachable",
            f'{r}r.allow("a", "waiting", "s1")\nr.allow("b", "s1", "s2")\nr.allow("c", "s2", "s3")\nr.unreachable()',
        )
        yield Check(
            "rules", "what is behind a final state is unreachable", f'{r}r.allow("a", "closed", "s1")\nr.unreachable()'
        )
        yield Check(
            "rules", "`allow` and `finish` can be chained", 'Rules("a").allow("go", "a", "b").finish("b").states()'
        )
        yield Check("machine", "a machine begins at the start of its rules", f"{m}(m.state, m.done())")
        yield Check("machine", "an event changes the state and returns it", f'{m}(m.fire("{send}"), m.state)')
        yield Check("machine", "an event that is not possible raises Refused", f'{m}m.fire("{reopen}")')
        yield Check(
            "machine", "an event of another role raises Refused", f'{m}m.fire("{send}")\nm.fire("{close_}", "clerk")'
        )
        yield Check(
            "machine",
            "a refused event changes nothing",
            f'{m}try:\n    m.fire("{close_}")\nexcept ValueError:\n    pass\n(m.state, m.history.count())',
        )
        yield Check(
            "machine",
            "a role may do what is for it, and what is for all",
            f'{m}m.fire("{send}", "boss")\n(m.can("{close_}"), m.can("{close_}", "boss"), m.fire("{close_}", "boss"), m.done())',
        )
        yield Check(
            "machine",
            "`run` stops at the first event that is refused",
            f'{m}(m.run(["{send}", "{reopen}", "{reopen}", "{send}"]), m.state)',
        )
        yield Check(
            "machine", "`run` gives its role to each event", f'{m}(m.run(["{send}", "{close_}"], "boss"), m.state)'
        )
        yield Check(
            "machine",
            "`run` counts all events where none is refused",
            f'{m}(m.run(["{send}", "{reopen}", "{send}"]), m.run([]))',
        )
        yield Check(
            "machine",
            "`undo` goes back one event",
            f'{m}m.run(["{send}", "{reopen}", "{send}"])\n(m.undo(), m.state, m.undo(), m.state)',
        )
        yield Check("machine", "there is nothing to undo at the start", f"{m}(m.undo(), m.state)")
        yield Check(
            "machine",
            "watchers hear of each change",
            f'{m}heard = []\nm.watch(lambda *all: heard.append(all))\nm.run(["{send}", "{reopen}"])\nheard',
        )
        yield Check(
            "machine",
            "a watcher of a state hears of changes to it alone",
            f'{m}heard = []\nm.watch(lambda *all: heard.append(all), "{open_}")\nm.run(["{send}", "{reopen}", "cancel"])\nheard',
        )
        yield Check(
            "machine",
            "all watchers hear",
            f'{m}heard = []\nm.watch(lambda *all: heard.append(1), "waiting")\nm.watch(lambda *all: heard.append(2))\nm.fire("{send}")\nheard',
        )
        h = 'h = History(3)\nfor at, event in enumerate("abcab"):\n    h.note(at, event, at + 1)\n'
        yield Check(
            "history", "the last changes are kept, and the rest counted", f"{h}(h.events(), h.forgotten, h.count())"
        )
        yield Check(
            "history",
            "as many changes are kept as the README says",
            f'h = History()\nfor at in range({keep + 3}):\n    h.note(at, "go", at + 1)\n(h.count(), h.forgotten)',
        )
        yield Check(
            "history",
            "nothing is forgotten while there is room",
            'h = History(3)\nfor at in range(3):\n    h.note(at, "go", at + 1)\n(h.count(), h.forgotten)',
        )
        yield Check("history", "the path has the first and the last state", f"{h}h.path()")
        yield Check("history", "there is no path of nothing", "h = History()\n(h.path(), h.pop(), h.count())")
        yield Check("history", "an event is counted by its name", f'{h}[h.count("a"), h.count("c"), h.count("z")]')
        yield Check(
            "history",
            "the last state an event led to is told",
            'h = History()\nfor at, event in enumerate("abca"):\n    h.note(at, event, at + 1)\n[h.last("a"), h.last("b"), h.last("z")]',
        )
        yield Check("history", "`pop` takes the last change", f"{h}(h.pop(), h.events())")
        yield Check(
            "history",
            "a machine may keep another number of changes",
            f'{r}m = Machine(r, keep=2)\nm.run(["{send}", "{reopen}", "{send}", "{reopen}"])\n(m.undo(), m.undo(), m.undo(), m.state)',
        )
        yield Check(
            "history",
            "a machine may keep no changes at all",
            f'{r}m = Machine(r, keep=0)\n(m.run(["{send}", "{reopen}"]), m.undo(), m.state)',
        )
