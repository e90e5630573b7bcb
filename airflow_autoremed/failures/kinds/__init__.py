"""What is known of an error without knowing its sentence: its class, its codes, the code that raised it.

``judging.judge`` is the way in.
"""
