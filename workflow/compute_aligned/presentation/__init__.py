"""Tables, figures, report, terminal: what a reader sees."""
