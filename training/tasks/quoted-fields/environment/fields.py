"""Lines of comma-separated values."""


def fields(line: str) -> list[str]:
    """The fields of a line. A field may stand in double quotes, which do not belong to it."""
    return [field.strip('"') for field in line.split(",")]
