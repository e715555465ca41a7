"""Wav2Vec 2.0: speech from raw samples."""
