"""Features turned while the model writes."""

from ui import shell
from ui.steer import page

shell.setup()
page.show(shell.need_study())
