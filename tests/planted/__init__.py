"""Faults that somebody who writes a compiler makes, planted one at a time: the tests must catch each of them.

``NAME.patch`` is one fault, a unified diff of ``src/chainrule`` under lines that say in plain words what it breaks:

    kind: tail
    The mask of the last vector is one lane too long.

``python -m tests.planted [NAME ...]`` applies each to a copy of the sources and runs the tests against it (``run.py``);
``test_planted.py`` makes sure that every patch still applies.

A patch that no longer applies, after its lines have changed, is planted anew: make the same mistake in ``src``, then

    git diff -U1 src > tests/planted/NAME.patch; git checkout src

and put the two lines about it back at the top. Where the mistake can no longer be made, delete the patch and plant
another fault of its kind.
"""
