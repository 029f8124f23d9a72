"""Studies: what is on disk, what runs in the background, and a new one."""

from ui import shell
from ui.studies import page

shell.setup()
page.show()
