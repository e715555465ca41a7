"""The video toolkit: reading frames of files (`loading`), and videos of all forms (`formats`)."""
