"""The catalogue: loading, checking and drafting rules."""
