"""What failed: from the lines of a log to a classification. ``matching`` reads, ``rules`` knows."""
