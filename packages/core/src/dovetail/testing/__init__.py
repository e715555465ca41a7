"""The conformance kit for authors of models: batteries of tests, golden files, seeded weights."""
