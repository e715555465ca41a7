"""The image toolkit: loading, formats, exact and fast transforms, boxes, annotations and more."""
