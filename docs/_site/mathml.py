"""Formulas as MathML, which browsers display by themselves: docutils' converter, set up as a Sphinx extension."""

import html
import re
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

_SHORT_FRACTION = re.compile(r"\\[td]?frac(\d)(\d)")  # \frac12, which the converter does not know
_HTML_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)\w+;")
MATHML = "http://www.w3.org/1998/Math/MathML"
ACCENTS = {"ˆ", "^", "~", "˜", "ˉ", "¯", "_", "‾", "˙", "→"}
ElementTree.register_namespace("", MATHML)
LOG = logging.getLogger(__name__)


def inline(self: HTML5Translator, node: nodes.math) -> None:
    """A formula in a line of text."""
    self.body.append(_converted(node, as_block=False))
    raise nodes.SkipNode


def displayed(self: HTML5Translator, node: nodes.math_block) -> None:
    """A formula on lines of its own."""
    self.body.append(f'<div class="math">{_converted(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def _converted(node: nodes.Element, *, as_block: bool) -> str:
    source = _SHORT_FRACTION.sub(r"\\frac{\1}{\2}", node.astext().strip())
    if as_block and r"\\" in source and r"\begin" not in source:
        source = rf"\begin{{aligned}}{source}\end{{aligned}}"
    try:
        return _repaired(tex2mathml(source, as_block=as_block))
    except MathError as error:
        LOG.warning("no MathML for %r: %s", source, error, location=node)
        return f"<code>{escaped(source)}</code>"


def _repaired(markup: str) -> str:
    """An index beside its letter with a hat, where the converter puts it below; overlines as long as they should be."""
    tree = ElementTree.fromstring(_HTML_ENTITY.sub(lambda found: html.unescape(found[0]), markup))
    for element in tree.iter(f"{{{MATHML}}}munderover"):
        base, index, accent = element
        if accent.tag == f"{{{MATHML}}}mo" and (accent.text or "").strip() in ACCENTS:
            hat = ElementTree.Element(f"{{{MATHML}}}mover", {"accent": "true"})
            hat.extend([base, accent])
            element.tag = f"{{{MATHML}}}msub"
            element[:] = [hat, index]
    for element in tree.iter(f"{{{MATHML}}}mo"):
        if element.text == "_" and element.get("accent"):  # a line over several symbols
            element.text = "‾"
            element.set("stretchy", "true")
    return ElementTree.tostring(tree, encoding="unicode")


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (inline, None), (displayed, None))
    app.config.html_math_renderer = "mathml"  # type: ignore[attr-defined]
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
