"""A layer's package: proves that functions find what their layers carry."""

GREETING = "hello"
