"""A simulated year of a fleet of Spark tasks: see :mod:`benchmarks.fleet.__main__`."""
