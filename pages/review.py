"""Review: one feature at a time from a queue, by keyboard."""

from ui import shell
from ui.review import page

shell.setup()
page.show(shell.need_study())
