"""The conformance kit for authors of models: batteries of tests, golden files, seeded weights.

`dovetail.testing.conformance` holds the classes to subclass, `dovetail.testing.golden` reads and
checks golden files, `dovetail.testing.seeded` makes values from names, and
`dovetail.testing.converting` sends a checkpoint through a declared layout and back.
"""
