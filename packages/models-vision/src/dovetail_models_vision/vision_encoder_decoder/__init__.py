"""A picture's encoder and a text's decoder."""
