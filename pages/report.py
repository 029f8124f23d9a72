"""Report: how good a study's labels are, by every scorer apart."""

from ui import shell
from ui.report import page

shell.setup()
page.show(shell.need_study())
