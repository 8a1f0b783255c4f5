"""The compiler: a graph becomes machine code. ``pipeline.py`` lists the passes, ``program.py`` runs the result."""
