"""The label providers, one a file; each registers itself in ``providers.make.PROVIDERS``.

What a provider needs is imported when one is made: the app lists them without any of it.
"""
