"""The console's own modules, under the name that Chalice packages with an app.

Owns everything between a browser and the services: sessions, languages, forms, HTML. Never decides what may
be done, and never touches a store: pages call the services of `pitrix.bootstrap`, in process, as the visitor.

Where to look: ``site`` (routes, errors, headers), ``visit`` (one request), ``session`` (cookies, sign-in,
forgery protection), ``render`` (Jinja2), ``wizard`` (a package's form), ``pages/`` (what each address shows).
"""
