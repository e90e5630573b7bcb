"""The store's engine, tables and encodings."""
