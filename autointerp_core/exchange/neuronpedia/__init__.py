"""What Neuronpedia's files and its server share: names, rows, and sending."""
