"""What Dag files import: every way to opt a task in."""
