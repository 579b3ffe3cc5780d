"""What each address of the console shows: one module a part of the site; ``app.py`` says which function is
where.

Pages read a request, call one or two services as the visitor, and hand the result to a template. Rules,
prices and permissions live in the services.
"""
