"""What is raised where a configuration cannot be used."""


class ConfigurationError(ValueError):
    """The configuration cannot be used; the message names each key and says what would be right, and no secret."""
