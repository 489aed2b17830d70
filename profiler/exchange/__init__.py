"""Tables that travel: files of other tools and of our own, in and out."""
