"""Text pipelines, one file per task."""
