"""Which features belong to some documents: some against others, or one corpus against another.

``evidence`` counts what every feature does in every document, ``rank_test`` and ``statistics`` say
what is different about the chosen ones and how sure that is, ``contrast`` puts a table of the best
features together, ``run`` does it for a :class:`~autointerp_core.find.request.FindRequest`.
"""
