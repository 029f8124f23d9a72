"""Studies: what is on disk, what runs in the background, and a new one."""

from ui import shell, studiespage

shell.setup()
studiespage.show()
