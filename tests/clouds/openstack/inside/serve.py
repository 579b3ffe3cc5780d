"""``serve.py MODULE SOCKET PREFIX [option…]``: one service's WSGI application on a socket file."""

import importlib
import sys

import waitress

module, place, prefix = sys.argv[1:4]
sys.argv = [sys.argv[0], *sys.argv[4:]]  # the services read their options from here
waitress.serve(
    importlib.import_module(module).application,
    unix_socket=place,
    url_prefix=prefix,
    threads=8,
    ident=None,
)
