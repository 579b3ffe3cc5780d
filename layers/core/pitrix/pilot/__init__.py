"""Pilot: the platform's end of the channel to the agents on machines."""
