"""Whisper: speech recognition and translation from log-mel windows of 30 seconds."""
