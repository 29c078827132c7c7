"""Appointments of a day, and days that repeat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from envserver.envs._repo.project import Check, Family

__all__ = ["Agenda"]


class Agenda(Family):
    """A clock, a planner, a calendar of repeats."""

    names = {
        "agenda": ("agenda", "calendar_app", "dayplan", "bookings"),
        "planner": ("planner", "diary", "schedule"),
        "Planner": ("Planner", "Diary", "Schedule"),
        "clock": ("clock", "daytime", "times"),
        "repeat": ("repeat", "recurring", "series"),
        "Clash": ("Clash", "Overlap", "Conflict"),
        "minutes": ("minutes", "to_minutes", "parse_time"),
        "spelled": ("spelled", "as_text", "format_time"),
        "occurrences": ("occurrences", "days_of", "expand"),
        "gaps": ("gaps", "free_slots", "openings"),
        "first_gap": ("first_gap", "earliest", "next_free"),
        "book": ("book", "reserve", "enter"),
    }
    constants = {"OPENS": ("07:00", "08:00", "09:00"), "CLOSES": ("17:00", "18:00", "19:00"), "MOST": (20, 30, 50)}

    def checks(self, rng: Random, constants: Mapping[str, Any]) -> Iterator[Check]:
        h, m = rng.randint(1, 11), rng.randint(10, 58)
        opens, closes = constants["OPENS"], constants["CLOSES"]
        yield Check("clock", "a time is minutes since midnight", f'[minutes("{h}:{m}"), minutes("{h + 12}:05")]')
        yield Check("clock", "pm is the second half of the day", f'[minutes("{h}:{m}pm"), minutes("{h}:{m}am")]')
        yield Check("clock", "12 am is midnight and 12 pm is noon", f'[minutes("12:{m}am"), minutes("12:00pm")]')
        yield Check("clock", "space and capitals say nothing in a time", f'minutes(" {h}:{m} PM ")')
        for bad in (f"{h}", "24:00", f"{h}:60", f"{h}:5", "13:00pm", "0:30am", f"x:{m}", f"{h}:{m}0"):
            yield Check("clock", "what is no time of day raises ValueError", f'minutes("{bad}")')
        yield Check("clock", "the last minute of the day is a time", 'minutes("23:59")')
        yield Check(
            "clock",
            "a time has two digits for hours and for minutes",
            f"[spelled({h * 60 + 5}), spelled({(h + 12) * 60 + m})]",
        )
        yield Check(
            "clock",
            "minutes beyond a day go on from its beginning",
            f"[spelled({1440 + m}), spelled(1440), spelled(1439)]",
        )
        a, b = rng.choice([20, 30, 45]), rng.choice([15, 30, 60])
        day = f'p = Planner()\np.book("lunch", "12:00", {a})\np.book("call", "10:15", {b})\n'
        yield Check(
            "planner", "`book` returns when an appointment ends", f'p = Planner()\np.book("call", "10:{m}", {a})'
        )
        yield Check("planner", "titles are in the order of the day", f"{day}p.titles()")
        yield Check(
            "planner",
            "an appointment may begin where another ends",
            f'p = Planner()\np.book("a", "10:00", {a})\np.book("b", "10:{a}", {b})\np.book("c", "09:30", 30)\np.titles()',
        )
        yield Check(
            "planner",
            "an overlap raises Clash",
            f'p = Planner()\np.book("a", "10:00", {a})\np.book("b", "10:{a - 1}", {b})',
        )
        yield Check(
            "planner",
            "an overlap from before raises Clash",
            f'p = Planner()\np.book("a", "10:00", {a})\np.book("b", "09:30", 31)',
        )
        yield Check(
            "planner",
            "an appointment around another raises Clash",
            f'p = Planner()\np.book("a", "10:00", {a})\np.book("b", "09:30", 180)',
        )
        yield Check(
            "planner",
            "an appointment that was refused is not noted",
            f'{day}\ntry:\n    p.book("x", "12:05", 10)\nexcept ValueError:\n    pass\n(p.titles(), p.busy())',
        )
        yield Check(
            "planner",
            "opening hours are those of the README",
            f'p = Planner()\np.book("all", "{opens}", {(int(closes[:2]) - int(opens[:2])) * 60})',
        )
        yield Check(
            "planner",
            "what begins before opening raises ValueError",
            'Planner("09:00", "17:00").book("a", "08:59", 10)',
        )
        yield Check(
            "planner", "what ends after closing raises ValueError", 'Planner("09:00", "17:00").book("a", "16:30", 31)'
        )
        yield Check("planner", "an appointment of no length raises ValueError", 'Planner().book("a", "10:00", 0)')
        yield Check(
            "planner",
            "cancel says how many it took out",
            f'{day}p.book("call", "15:00", 10)\n(p.cancel("call"), p.titles(), p.cancel("none"))',
        )
        yield Check(
            "planner",
            "an appointment is on from its first minute",
            f'{day}[p.at("12:00"), p.at("12:0{a % 10}"), p.at("11:59")]',
        )
        yield Check("planner", "an appointment is over at its end", f'{day}[p.at("12:{a}"), p.at("12:{a - 1}")]')
        yield Check(
            "planner",
            "gaps are what is free between appointments and at both ends",
            f'p = Planner("09:00", "17:00")\np.book("a", "10:00", {a})\np.book("b", "13:00", {b})\np.gaps()',
        )
        yield Check("planner", "an empty day is one gap", 'Planner("09:00", "17:00").gaps()')
        yield Check(
            "planner",
            "a gap as long as the least is listed",
            f'p = Planner("09:00", "12:00")\np.book("a", "09:{b}", 60)\n(p.gaps({b}), p.gaps({b + 1}))',
        )
        yield Check(
            "planner",
            "there is no gap where appointments touch the hours",
            'p = Planner("09:00", "10:00")\np.book("a", "09:00", 60)\np.gaps()',
        )
        yield Check(
            "planner",
            "the first gap is long enough",
            f'p = Planner("09:00", "17:00")\np.book("a", "09:{a}", {b})\n[p.first_gap({a}), p.first_gap({a + 1})]',
        )
        yield Check(
            "planner",
            "the first gap is not before the time asked for",
            f'p = Planner("09:00", "17:00")\np.book("a", "12:00", {b})\n[p.first_gap(20, "11:30"), p.first_gap(40, "11:30"), p.first_gap(20, "07:00")]',
        )
        yield Check(
            "planner",
            "there may be no gap that is long enough",
            'p = Planner("09:00", "10:00")\n[p.first_gap(61), p.first_gap(30, "09:40"), p.first_gap(60)]',
        )
        yield Check("planner", "busy adds up what is booked", f"{day}p.busy()")
        start, every = rng.randint(0, 4), rng.randint(2, 4)
        yield Check("repeat", "weekdays go round", f"[weekday(0), weekday({start + 7}), weekday(6), weekday(13)]")
        yield Check("repeat", "the last day counts", f"occurrences({start}, {every}, {start + 3 * every})")
        yield Check(
            "repeat",
            "days to skip are left out",
            f"occurrences({start}, {every}, {start + 5 * every}, skip=[{start + every}])",
        )
        yield Check(
            "repeat", "a day of a weekend moves to Monday", f"occurrences({start}, 1, {start + 12}, workdays=True)"
        )
        yield Check("repeat", "a day that moved beyond the end is left out", "occurrences(4, 1, 6, workdays=True)")
        yield Check("repeat", "weekends count where they are not left out", f"occurrences(4, 1, {6 + start})")
        yield Check("repeat", "there are at most as many days as the README says", "len(occurrences(0, 1, 500))")
        yield Check("repeat", "steps of less than a day raise ValueError", "occurrences(0, 0, 5)")
