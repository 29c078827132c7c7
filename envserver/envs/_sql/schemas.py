"""What the databases are about: people, things, what people do with things, and what comes of it.

Every subject has the same four tables under names and words of its own: `who` and `what` are looked up, `deed` links
the two, `extra` hangs on a deed. Templates of questions speak of these roles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["SCHEMAS", "Schema", "Table"]


@dataclass(frozen=True, slots=True)
class Table:
    """A table, and how its rows are spoken of."""

    name: str
    one: str
    many: str


@dataclass(frozen=True, slots=True)
class Schema:
    """One subject. Columns are by role; `id` is the key of each table."""

    who: Table
    place: str
    """Of `who`, a column of few words; `name` is another, a date `since` the third."""
    places: Sequence[str]
    since: str
    what: Table
    kind: str
    """Of `what`, a column of few words; it has `name`, a whole number `size` and a price too."""
    kinds: Sequence[str]
    size: str
    price: str
    deed: Table
    who_id: str
    what_id: str
    day: str
    amount: str
    """A whole number of a deed."""
    status: str
    states: Sequence[str]
    score: str
    """A whole number from 1 to 10 of a deed, NULL where it is not known."""
    extra: Table
    deed_id: str
    cause: str
    causes: Sequence[str]
    cost: str

    def ddl(self) -> str:
        """The tables."""
        return f"""CREATE TABLE {self.who.name} (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, {self.place} TEXT NOT NULL, {self.since} TEXT NOT NULL);
CREATE TABLE {self.what.name} (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, {self.kind} TEXT NOT NULL,
  {self.size} INTEGER NOT NULL, {self.price} REAL NOT NULL);
CREATE TABLE {self.deed.name} (
  id INTEGER PRIMARY KEY, {self.who_id} INTEGER NOT NULL REFERENCES {self.who.name}(id),
  {self.what_id} INTEGER NOT NULL REFERENCES {self.what.name}(id), {self.day} TEXT NOT NULL,
  {self.amount} INTEGER NOT NULL, {self.status} TEXT NOT NULL, {self.score} INTEGER);
CREATE TABLE {self.extra.name} (
  id INTEGER PRIMARY KEY, {self.deed_id} INTEGER NOT NULL REFERENCES {self.deed.name}(id),
  {self.cause} TEXT NOT NULL, {self.cost} REAL NOT NULL);"""


SCHEMAS = {
    "shop": Schema(
        Table("customers", "customer", "customers"),
        "city",
        ("Oslo", "Lima", "Bonn", "Kyiv", "Rome", "Graz"),
        "joined",
        Table("products", "product", "products"),
        "category",
        ("tools", "toys", "garden", "kitchen", "books"),
        "stock",
        "price",
        Table("orders", "order", "orders"),
        "customer_id",
        "product_id",
        "placed",
        "quantity",
        "status",
        ("paid", "sent", "open", "void"),
        "rating",
        Table("returns", "return", "returns"),
        "order_id",
        "reason",
        ("broken", "late", "wrong size", "changed mind"),
        "refund",
    ),
    "school": Schema(
        Table("students", "student", "students"),
        "house",
        ("Elm", "Oak", "Ash", "Fir", "Yew"),
        "enrolled",
        Table("courses", "course", "courses"),
        "subject",
        ("maths", "history", "music", "biology", "art", "physics"),
        "seats",
        "fee",
        Table("attendances", "attendance", "attendances"),
        "student_id",
        "course_id",
        "started",
        "hours",
        "outcome",
        ("passed", "failed", "left", "running"),
        "mark",
        Table("materials", "material", "materials"),
        "attendance_id",
        "item",
        ("book", "kit", "licence", "uniform"),
        "charge",
    ),
    "library": Schema(
        Table("readers", "reader", "readers"),
        "district",
        ("North", "South", "Harbour", "Mill", "Castle"),
        "registered",
        Table("books", "book", "books"),
        "genre",
        ("crime", "travel", "poetry", "science", "cooking"),
        "pages",
        "value",
        Table("loans", "loan", "loans"),
        "reader_id",
        "book_id",
        "lent",
        "days",
        "state",
        ("returned", "overdue", "lost", "out"),
        "stars",
        Table("fines", "fine", "fines"),
        "loan_id",
        "ground",
        ("late", "stain", "torn page", "lost"),
        "sum",
    ),
    "flights": Schema(
        Table("pilots", "pilot", "pilots"),
        "base",
        ("LHR", "FRA", "CDG", "VIE", "ZRH", "OSL"),
        "hired",
        Table("planes", "plane", "planes"),
        "maker",
        ("Airbus", "Boeing", "Embraer", "Fokker"),
        "seats",
        "rent",
        Table("flights", "flight", "flights"),
        "pilot_id",
        "plane_id",
        "flown",
        "minutes",
        "status",
        ("on time", "delayed", "cancelled", "diverted"),
        "comfort",
        Table("incidents", "incident", "incidents"),
        "flight_id",
        "type",
        ("bird", "weather", "engine", "crew"),
        "damage",
    ),
    "hospital": Schema(
        Table("patients", "patient", "patients"),
        "town",
        ("Arles", "Baden", "Como", "Delft", "Espoo"),
        "first_seen",
        Table("doctors", "doctor", "doctors"),
        "field",
        ("surgery", "eyes", "heart", "skin", "lungs"),
        "beds",
        "rate",
        Table("visits", "visit", "visits"),
        "patient_id",
        "doctor_id",
        "visited",
        "minutes",
        "result",
        ("healed", "referred", "admitted", "missed"),
        "pain",
        Table("drugs", "drug", "drugs"),
        "visit_id",
        "substance",
        ("aspirin", "insulin", "codeine", "zinc"),
        "price",
    ),
    "league": Schema(
        Table("players", "player", "players"),
        "club",
        ("Rovers", "United", "City", "Wanderers", "Albion"),
        "signed",
        Table("grounds", "ground", "grounds"),
        "country",
        ("Wales", "Spain", "Italy", "Ghana", "Chile"),
        "capacity",
        "hire",
        Table("games", "game", "games"),
        "player_id",
        "ground_id",
        "played",
        "goals",
        "result",
        ("won", "lost", "drawn", "abandoned"),
        "form",
        Table("penalties", "penalty", "penalties"),
        "game_id",
        "offence",
        ("foul", "dissent", "delay", "handball"),
        "fine",
    ),
    "museum": Schema(
        Table("curators", "curator", "curators"),
        "wing",
        ("East", "West", "Garden", "Tower"),
        "appointed",
        Table("objects", "object", "objects"),
        "material",
        ("bronze", "marble", "silk", "paper", "glass"),
        "age",
        "insured",
        Table("showings", "showing", "showings"),
        "curator_id",
        "object_id",
        "opened",
        "visitors",
        "verdict",
        ("praised", "panned", "ignored", "extended"),
        "appeal",
        Table("repairs", "repair", "repairs"),
        "showing_id",
        "part",
        ("frame", "base", "lamp", "case"),
        "cost",
    ),
}
