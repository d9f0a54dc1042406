"""An app that makes workers die of a contact, while the file that POISON names holds its number.

Only tests/faults/poisoned.py, a settings module of the tests, installs it.
"""
