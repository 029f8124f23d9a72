"""Review: one feature at a time from a queue, by keyboard."""

from ui import reviewpage, shell

shell.setup()
reviewpage.show(shell.need_study())
