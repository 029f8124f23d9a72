"""Two studies beside each other: of one SAE, or of two SAEs of one hook point."""

from ui import shell
from ui.compare import page

shell.setup()
page.show(shell.need_study())
