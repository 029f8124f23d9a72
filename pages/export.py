"""Export: files out, labels in."""

from ui import exportpage, shell

shell.setup()
exportpage.show(shell.need_study())
