"""From the cells of a table to features and back: the kind of each column, and the canonical form of its values."""
