"""Servers that speak the API of a platform, so that the provider's own operators, hooks and triggers meet our adapters
over the wire. What they start is a :class:`~tests.support.standins.scripted.ScriptedSpark`: no JVM."""
