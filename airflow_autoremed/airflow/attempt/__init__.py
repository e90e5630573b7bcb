"""One attempt's life in the worker."""
