"""What a parser sees in a page: which elements and attributes there are, and how many."""

import re
from collections import Counter
from html.parser import HTMLParser
from xml.etree import ElementTree

#: an element or an attribute that a long name may have more of: what it does not show, on pointing at it
OF_LONG_NAMES = {"span", "title", "class"}


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()

    def handle_starttag(self, tag, attributes):
        self.elements[tag] += 1
        self.elements.update(f"{tag} {name}" for name, _ in attributes)

    def handle_comment(self, data):
        self.elements["comment"] += 1

    def handle_pi(self, data):
        self.elements["instruction"] += 1


def of_html(page: str) -> Counter[str]:
    """The elements and attributes of a page of HTML, with their numbers."""
    parser = _Parser()
    parser.feed(page)
    parser.close()
    return _without_what_long_names_have(parser.elements)


def of_xml(page: str) -> Counter[str]:
    """The same of XML, which has to be well-formed."""
    found: Counter[str] = Counter()
    for node in ElementTree.fromstring(re.sub("<!DOCTYPE[^>]*>", "", page)).iter():
        found[node.tag] += 1
        found.update(f"{node.tag} {name}" for name in node.attrib)
    return _without_what_long_names_have(found)


def of_markdown(page: str) -> Counter[str]:
    """What a notebook takes for HTML, for the edge of a formula or for code."""
    return Counter(re.findall(r"<[^ ]|(?<!\\)\$\$|\\(?:begin|end)\{\w*\}|\\href|`", page))


def _without_what_long_names_have(found: Counter[str]) -> Counter[str]:
    return Counter(
        {
            name: count
            for name, count in found.items()
            if not OF_LONG_NAMES & {name.split()[0], name.split()[-1]}
        }
    )
