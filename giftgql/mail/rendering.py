"""The words of a mail: what it is about, put into the templates of its topic."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from giftgql.money import Money
from giftgql.outbox.mails import Content

OWN = Path(__file__).parent / "templates"

LONGEST_SUBJECT = 150

Words = Mapping[str, str | None]


@dataclass(frozen=True)
class Rendered:
    """A mail's words. They may hold a code."""

    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)


def words(content: Content) -> dict[str, str | None]:
    """The facts of a mail as its templates show them: "50.00 EUR", texts in one line each, but a
    message with its lines."""

    def shown(name: str, fact: object) -> str | None:
        if isinstance(fact, int):
            return f"{Money(fact, content.currency)} {content.currency}"
        if fact is None or name == "message":
            return None if fact is None else "\n".join(str(fact).splitlines())
        return one_line(str(fact))

    return {name: shown(name, fact) for name, fact in asdict(content).items()}


def render(folder: Path | None, topic: str, known: Words) -> Rendered:
    """Fill in the templates of a topic: the subject, the plain text and the HTML."""
    environment, name = _environment(folder), topic.lower()
    subject, text, html = (
        environment.get_template(f"{name}.{kind}").render(known)
        for kind in ("subject", "txt", "html")
    )
    return Rendered(one_line(subject)[:LONGEST_SUBJECT], text, html)


def one_line(text: str) -> str:
    """A text without line ends and other characters that are not seen."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


@cache
def _environment(folder: Path | None) -> Environment:
    return Environment(
        loader=FileSystemLoader([folder, OWN] if folder else OWN),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
