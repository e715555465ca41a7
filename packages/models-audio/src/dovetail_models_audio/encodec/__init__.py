"""EnCodec: sound as discrete codes."""
