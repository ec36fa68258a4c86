"""Tables: pure functions from artifacts to long rows, one value each, and to Markdown and LaTeX drawn from those."""
