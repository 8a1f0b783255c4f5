"""What a run must live through: kills, interrupts, threads, full disks, damaged and hostile files.

The tests here are the short form, run with the suite. The scripts take a budget of time and go on for as long:
``python -m tests.survival.kills --minutes 60``, and the same for ``damage`` (files) and ``soak`` (many runs).
"""
