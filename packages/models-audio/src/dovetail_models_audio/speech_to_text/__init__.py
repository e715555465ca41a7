"""Speech2Text: recognition and translation from normalized filter-bank energies."""
