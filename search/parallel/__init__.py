"""Work spread over processes or a cluster, with the results of a single process."""
