"""pytest reads the pages here, not the code that builds the site (which needs Sphinx)."""

collect_ignore_glob = ["*.py"]
