"""The directive ``gallery``: every figure of the pages that it names, with a link to where it is made."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode


class Place(nodes.General, nodes.Element):
    """Where the figures of a page go, once all pages are read."""


class Gallery(SphinxDirective):
    """The figures of one page, in its order."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        return [Place(page=self.arguments[0])]


def fill(app: Sphinx, tree: nodes.document, docname: str) -> None:
    """Put copies of the figures where they go."""
    for place in list(tree.findall(Place)):
        page = place["page"]
        figures = app.env.get_doctree(page).findall(nodes.figure)
        place.replace_self([_copy(figure, app, docname, page) for figure in figures])


def _copy(figure: nodes.figure, app: Sphinx, docname: str, page: str) -> nodes.figure:
    """The picture, and its caption with a link."""
    link = make_refnode(app.builder, docname, page, figure["ids"][0], nodes.Text("the code"))
    caption = figure.next_node(nodes.caption).deepcopy()
    caption += [nodes.Text(" ("), link, nodes.Text(")")]
    return nodes.figure("", figure.next_node(nodes.image).deepcopy(), caption, ids=figure["ids"])


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_node(Place)
    app.add_directive("gallery", Gallery)
    app.connect("doctree-resolved", fill)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
