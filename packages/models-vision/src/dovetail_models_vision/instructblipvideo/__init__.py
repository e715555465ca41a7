"""InstructBLIP for videos."""
