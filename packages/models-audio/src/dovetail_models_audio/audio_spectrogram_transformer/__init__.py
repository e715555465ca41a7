"""Audio Spectrogram Transformer: sounds told apart by their filter-bank energies."""
