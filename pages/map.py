"""The map of a study's features: draw around them, see what they have in common."""

from ui import shell
from ui.map import page

shell.setup()
page.show(shell.need_study())
