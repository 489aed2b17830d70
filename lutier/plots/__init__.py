"""What is drawn of searches and tables: a step that gathers figures, and one that draws them."""
