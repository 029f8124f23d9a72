"""The features of a study: filter, sort, search, page, open one."""

from ui import featurelist, shell

shell.setup()
featurelist.show(shell.need_study())
