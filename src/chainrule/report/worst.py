"""The rows that the network gets most wrong."""

from chainrule.foreign_text import screenful
from chainrule.markup import Markup
from chainrule.report.contents import WorstRows
from chainrule.report.pieces import note, section, table


def worst_section(worst: WorstRows | None) -> Markup:
    """A table of them, with their cells."""
    if worst is None or not worst.rows:
        return Markup()
    about = note(screenful(worst.explanation, 6))
    return section("The worst rows", table(worst.titles, worst.rows, worst.numeric), about)
