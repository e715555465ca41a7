"""SpeechT5: one model for speech in, speech out and text."""
