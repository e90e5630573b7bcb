"""Learnt from the history. Training needs scikit-learn; what runs in a worker needs numpy alone."""
