"""Speaking other tools' formats: a study written for them, and what they say of it read back.

A format is one file in :mod:`.formats` that describes itself (:class:`.format.Format`): what it
needs, what it would write, and how one batch of features is written. :mod:`.run` does the rest for
all of them: progress, atomic files, going on where a killed export stopped. What comes in is read
by :mod:`.readers` into plain proposals and scores, which :mod:`.take_in` compares with what is
there and records.
"""
