"""Systems of codes: one file each."""
