"""Writing rules: checking them before they are installed, and drafting them from failures that no rule names."""
