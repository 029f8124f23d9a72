"""The features of a study: filter, sort, search, page, open one."""

from ui import shell
from ui.features import page

shell.setup()
page.show(shell.need_study())
