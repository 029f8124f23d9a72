"""One feature: its examples, statistics and labels, and the decision on its label."""

from ui import featurepage, shell

shell.setup()
featurepage.show(shell.need_study())
