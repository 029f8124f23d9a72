"""Language-model agents, let in through the Model Context Protocol."""
