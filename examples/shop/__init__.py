"""A large program: five services in one code base, an app that joins their groups.

Each service is a package with its group in ``group.py`` and a module for each handler. Events
are what they share. ``app.py`` is the one place that knows them all, so no service imports
another, and a worker can be started for any of them::

    streamq consume --app examples.shop.app:app --group payments
"""
