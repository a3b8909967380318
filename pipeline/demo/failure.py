"""What ends the demo early: the message says what went wrong and where to look."""


class DemoFailed(RuntimeError):
    """The demo cannot go on."""
