"""The audio toolkit: windows, spectra, filter banks, cepstra, resampling, reading sound.

Everything here takes and gives arrays (numpy where the field's function does, torch where a model's
own code would), and knows no architecture.
"""
