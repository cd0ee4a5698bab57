"""Code shared by metrics: rows and samples, tables of information, classifiers, protocols, intervals, scoring."""
