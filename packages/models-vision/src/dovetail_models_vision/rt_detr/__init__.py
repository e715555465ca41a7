"""RT-DETR."""
