"""Runtimes: cloud accounts that were connected, and the providers that speak to them."""
