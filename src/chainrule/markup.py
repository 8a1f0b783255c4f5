"""HTML and SVG as text: elements whose content and attributes are escaped, and tables of them."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

# What XML 1.0 has no way to write: most control characters, lone surrogates, two non-characters; and what steers a
# terminal that shows the file, or reverses the reading direction.
UNWRITABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


class Markup(str):
    """Text that already is markup and is not escaped again."""

    __slots__ = ()


def escape(text: str) -> Markup:
    """Escape a text so that it may stand inside an element or a quoted attribute.

    >>> escape('<a> & "b"')
    '&lt;a&gt; &amp; &quot;b&quot;'
    """
    return text if isinstance(text, Markup) else Markup(html.escape(UNWRITABLE.sub("\ufffd", text)))


def element(name: str, /, *content: str, **attributes: object) -> Markup:
    """One SVG or HTML element, well-formed as XML; content that is not `Markup` is escaped.

    In attribute names ``_`` stands for ``-`` and a final one is dropped; None omits the attribute.

    >>> element("text", "1 < 2", x=3, class_="big", stroke_width=None)
    '<text x="3" class="big">1 &lt; 2</text>'
    """
    written = "".join(
        f' {key.removesuffix("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(escape(part) for part in content)
    return Markup(f"<{name}{written}>{inner}</{name}>" if content else f"<{name}{written} />")


def table(
    head: Sequence[Markup],
    rows: Sequence[Sequence[Markup]],
    caption: Markup | None = None,
    **attributes: object,
) -> Markup:
    """An HTML table from the cells (th and td) of its head, which may be empty, and of each row.

    >>> table([element("th", "a")], [[element("td", "1")]])
    '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>'
    """
    parts = [] if caption is None else [caption]
    if head:
        parts.append(element("thead", element("tr", *head)))
    parts.append(element("tbody", *(element("tr", *cells) for cells in rows)))
    return element("table", *parts, **attributes)


def preformatted(text: str) -> Markup:
    """Text in a fixed-width font, with its line breaks."""
    return element("pre", text)
