"""Repositories: where packages are uploaded, indexed, and reported on."""
