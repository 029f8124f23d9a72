"""One feature: its examples, statistics and labels, and the decision on its label."""

from ui import shell
from ui.feature import page

shell.setup()
page.show(shell.need_study())
