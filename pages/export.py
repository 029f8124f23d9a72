"""Export: files out, labels in."""

from ui import shell
from ui.export import page

shell.setup()
page.show(shell.need_study())
