"""Continuous batching: requests of any lengths share each pass of the model, and come and go while
it runs.

`engine` runs passes over packed tokens, `scheduler` says who takes part in the next one, `requests`
holds what becomes of each text, `manager` serves them in a thread, and `mixin` is what a model has
of it: ``generate_batch``.
"""
