"""Features of some documents: chosen ones against others, or one corpus against another."""

from ui import shell
from ui.find import page

shell.setup()
page.show(shell.need_study())
