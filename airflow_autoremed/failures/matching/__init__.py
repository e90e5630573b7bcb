"""Reading a log as a stream: what in it is evidence, and which rule decides."""
