"""A tool for agents."""

FATHOM_IN_METRES = 1.8288


class EchoSounder:
    """Depths in metres."""

    name = "echo_sounder"
    description = "Converts a depth in fathoms to metres."
    inputs = {"fathoms": {"type": "number", "description": "The depth in fathoms."}}  # noqa: RUF012
    output_type = "number"

    def __call__(self, fathoms):
        return fathoms * FATHOM_IN_METRES
