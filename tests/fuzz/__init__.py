"""Random programs, run by everything that runs programs: what one of them computes, all must.

``programs.py`` draws a program and prints it as Python, ``operations.py`` is what its lines are made of, ``checks.py``
runs it interpreted, compiled, for other processors and by several threads, ``networks.py`` trains random networks.
``python -m tests.fuzz --minutes 60`` looks for a program that fails and prints the least one.
"""
