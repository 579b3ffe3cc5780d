"""What the application does. It knows no cloud: aws.py, function_app.py and server.py call it."""

from __future__ import annotations

import os


def hello(name: str) -> str:
    """The text that a visitor gets."""
    return f"{os.environ.get('GREETING', 'Hello')}, {name}!"


def tick() -> str:
    """What is done every hour."""
    return "Nothing to do yet."
