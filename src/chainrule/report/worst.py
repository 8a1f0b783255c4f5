"""The rows that the network gets most wrong."""

from chainrule.report.contents import WorstRows
from chainrule.report.pieces import note, section, table
from chainrule.svg import Markup


def worst_section(worst: WorstRows | None) -> Markup:
    """A table of them, with their cells."""
    if worst is None or not worst.rows:
        return Markup()
    return section("The worst rows", table(worst.titles, worst.rows, worst.numeric), note(worst.explanation))
