"""Does every link within a built site lead to a file, and to an id in it?  python .ci/check_links.py SITE"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit


class Page(HTMLParser):
    """The ids of a page, and where its links lead."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep ids and what stands in href and src, unless it leads out of the site."""
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in ("href", "src") and value and not urlsplit(value).scheme:
                self.links.append(value)


def broken(site: Path) -> tuple[int, list[str]]:
    """How many links there are within the site, and those that lead nowhere."""
    pages = {file: Page(file) for file in sorted(site.resolve().rglob("*.html"))}
    count, found = 0, []
    for file, page in pages.items():
        for link in page.links:
            count += 1
            path, fragment = urldefrag(link)
            target = (file.parent / unquote(urlsplit(path).path)).resolve() if path else file
            there = target in pages and unquote(fragment) in pages[target].ids
            if not target.is_file() or (fragment and not there):
                found.append(f"{file.relative_to(site.resolve())}: {link}")
    return count, found


if __name__ == "__main__":
    total, missing = broken(Path(sys.argv[1]))
    print(f"{total} links, {len(missing)} lead nowhere", *missing, sep="\n")
    sys.exit(bool(missing) or not total)
