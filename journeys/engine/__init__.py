"""The engine: enrollments that are due are claimed in sets and advanced, step by step, each step once."""
