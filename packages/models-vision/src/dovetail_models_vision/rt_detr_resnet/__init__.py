"""RT-DETR's ResNet."""
