"""What happened in a log: events found in the stream, which error ended the run, and the chain down to its cause."""
