"""An encoder and a decoder of text."""
