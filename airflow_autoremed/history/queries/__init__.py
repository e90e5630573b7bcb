"""What is asked of the store, one noun a file."""
