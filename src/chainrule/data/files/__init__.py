"""From a file to its header and cells: where it lies, its encoding, what separates cells, what stands around them."""
