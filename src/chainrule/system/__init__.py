"""What is asked of the operating system: locks, temporary files, signals, daemon threads, forks."""
