"""Which features fire on a text of one's own."""

from ui import shell
from ui.try_text import page

shell.setup()
page.show(shell.need_study())
